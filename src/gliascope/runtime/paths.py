"""Paths of local files, and of files that fsspec reaches by URL."""

import os
from pathlib import Path
from typing import Any

from gliascope.errors import GliascopeError


def to_path(name: str) -> Path:
    """Turn a name into a path; a URL (`s3://`, `gs://`, `https://` …) becomes a UPath.

    A UPath is read and listed by the same methods as a Path, but `isinstance(…, Path)` is false for it.

    Raises
    ------
    GliascopeError
        If fsspec does not know the kind of URL, or lacks the driver for it.
    ModuleNotFoundError
        If the extra `scale` is not installed.

    Examples
    --------
    >>> to_path("scans/a.png").name
    'a.png'
    """
    if "://" not in name:
        return Path(name)
    from upath import UPath

    try:
        path: Any = UPath(name)
        _ = path.fs  # imports the driver
    except (ImportError, ValueError) as error:
        raise GliascopeError(f"{name}: cannot be reached ({str(error).strip()})") from None
    return path  # type: ignore[no-any-return]


def exists(path: Path) -> bool:
    """Return whether `path` exists. Raises GliascopeError for a URL that this user cannot reach."""
    try:
        return path.exists()
    except Exception as error:  # each driver raises its own kinds for connections and credentials
        if isinstance(path, Path):
            raise
        raise GliascopeError(f"{path}: cannot be reached ({' '.join(str(error).split())})") from None


def absolute(path: Path) -> Path:
    """Return `path` from the root of its file system, without resolving symbolic links."""
    return Path(os.path.abspath(path)) if isinstance(path, Path) else path  # noqa: PTH100
