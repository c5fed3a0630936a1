"""What lies below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Files below `folder`, each folder's in sorted order, without hidden ones and macOS leftovers.

    Links are followed, a folder met twice is entered once. Raises OSError for a folder that cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    entered: set[Path] = set()
    for above, subfolders, names in os.walk(folder, onerror=fail, followlinks=True):
        real = Path(above).resolve()
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(above) / name for name in sorted(names) if not name.startswith("."))


def printable(text: str) -> str:
    """`text` with escapes for what UTF-8 cannot hold: parts of file names that are no text on this system."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
