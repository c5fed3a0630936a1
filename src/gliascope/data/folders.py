"""What lies below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Files below `folder`, each folder's in sorted order, without hidden ones and macOS leftovers."""
    for above, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(above) / name for name in sorted(names) if not name.startswith("."))
