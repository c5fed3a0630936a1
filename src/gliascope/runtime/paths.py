"""Where files are: on this machine, or wherever fsspec reaches by URL."""

import os
from pathlib import Path
from typing import Any

from gliascope.errors import GliascopeError


def to_path(name: str) -> Path:
    """A path; of a URL (`s3://`, `gs://`, `https://` …) one that is read and listed by the same methods.

    The latter is no `Path` to `isinstance`. Raises GliascopeError for what fsspec does not know or has no
    driver of, ModuleNotFoundError without the extra `scale`.
    """
    if "://" not in name:
        return Path(name)
    from upath import UPath

    try:
        made: Any = UPath(name)
        _ = made.fs  # its driver is imported here
    except (ImportError, ValueError) as error:
        raise GliascopeError(f"{name}: cannot be reached ({str(error).strip()})") from None
    return made  # type: ignore[no-any-return]


def exists(path: Path) -> bool:
    """Whether it is there. Raises GliascopeError for a URL that does not answer, or not to this user."""
    try:
        return path.exists()
    except Exception as error:  # a driver's own: of connections, of credentials
        if isinstance(path, Path):
            raise
        raise GliascopeError(f"{path}: cannot be reached ({' '.join(str(error).split())})") from None


def absolute(path: Path) -> Path:
    """It from the root of its file system; symlinks keep their names."""
    return Path(os.path.abspath(path)) if isinstance(path, Path) else path  # noqa: PTH100
