"""Atomic writes: a final name is either absent, or complete; and names that every system takes."""

import errno
import hashlib
import lzma
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for a .zip that it cannot read, beside OSError (an offset before the start)."""

MAX_NAME_BYTES = 255  # of a name, on most file systems
TEMPORARY_BYTES = MAX_NAME_BYTES - len("..12345678.tmp")
# Systems refuse these characters, stray bytes that are no text, spaces and dots at the end, and devices.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]|[. ]+$')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_ENDING = re.compile(r"(?:\.[A-Za-z0-9]{1,10}){1,2}$")


def safe_name(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A file name as it is where every system takes it, of at most `most` bytes in UTF-8; else one like it.

    What is changed gets a hash of the whole name before its ending, so that two names stay two. Every name
    that is made of an input's goes through here.
    """
    shown = _FORBIDDEN.sub("_", name) or "_"
    if _DEVICE.fullmatch(shown):
        shown = f"_{shown}"
    if shown == name and len(name.encode()) <= max_bytes:
        return name
    mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    found = _ENDING.search(shown)
    stem, ending = (shown[: found.start()], found[0]) if found else (shown, "")
    room = max_bytes - len(f"-{mark}{ending}")
    # Cut between characters: those that do not fit whole are left out.
    return f"{stem.encode()[:room].decode(errors='ignore')}-{mark}{ending}"


def temporary_name(name: str) -> str:
    """What the temporary siblings of a file are called, between their dot and their own eight characters."""
    return safe_name(name, TEMPORARY_BYTES) if len(os.fsencode(name)) > TEMPORARY_BYTES else name


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; rename it to `path` if the block succeeds, else remove it."""
    path = Path(path)
    if path.is_dir():
        raise _os_error(errno.EISDIR, path)
    _make_parent(path)
    handle, name = tempfile.mkstemp(prefix=f".{temporary_name(path.name)}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a result gets the permissions any other new file would.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling folder; rename it to `path` if the block succeeds, else remove it.

    An existing `path` is replaced.
    """
    path = Path(path)
    _make_parent(path)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{temporary_name(path.name)}.", suffix=".tmp", dir=path.parent)
    )
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            # A folder cannot be renamed over a full one: step the old one aside first.
            old = (
                Path(
                    tempfile.mkdtemp(prefix=f".{temporary_name(path.name)}.", suffix=".old", dir=path.parent)
                )
                / path.name
            )
            path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                old.rename(path)
                raise
            finally:
                shutil.rmtree(old.parent)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raise OSError where `folder` neither can be written in nor made; nothing is written to find out."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 (keeps symlinks' names)
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise _os_error(errno.ENOTDIR, place)
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise _os_error(code, place)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _make_parent(path: Path) -> None:
    """Make the folder of a result; an error names that folder, not a temporary file that nobody asked for."""
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
