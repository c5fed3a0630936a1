"""List the files below a folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gliascope.errors import GliascopeError
from gliascope.runtime.paths import exists


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below `folder`, sorted by name within each folder.

    Hidden files, hidden folders and macOS's `__MACOSX` folders are left out. Symbolic links are followed, and
    a folder that is reached twice is listed once. Raises OSError for a folder that cannot be read.
    """
    entered: set[Path] = set()
    for above, subfolders, names in _walk(folder):
        real = above.resolve()
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
        yield from (above / name for name in sorted(names) if not name.startswith("."))


def list_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of `paths`, and those below its folders. Raises GliascopeError if there is none."""
    empty = True
    for path in paths:
        if not exists(path):
            raise GliascopeError(f"{path}: not found; give files or folders of slices")
        for file in files_below(path) if path.is_dir() else [path]:
            empty = False
            yield file
    if empty:
        raise GliascopeError(f"{', '.join(map(str, paths))}: no files found; give files or folders of slices")


def _walk(folder: Any) -> Iterator[tuple[Path, list[str], list[str]]]:
    def fail(error: OSError) -> None:
        raise error

    if isinstance(folder, Path):
        for above, subfolders, names in os.walk(folder, onerror=fail, followlinks=True):
            yield Path(above), subfolders, names
    else:  # a URL
        yield from folder.walk(on_error=fail)


def printable(text: str) -> str:
    """Return `text` with escapes for bytes of file names that are not valid UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
