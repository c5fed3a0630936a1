"""Write files and folders atomically, under names that every operating system accepts."""

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
"""What `zipfile` raises for a damaged .zip, besides OSError for an offset before the start."""

MAX_NAME_BYTES = 255  # the limit of most file systems
TEMPORARY_BYTES = MAX_NAME_BYTES - len("..12345678.tmp")
# Windows refuses these characters, spaces and dots at the end, and device names. Lone surrogates stand for
# bytes that are not UTF-8.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]|[. ]+$')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_ENDING = re.compile(r"(?:\.[A-Za-z0-9]{1,10}){1,2}$")


def safe_name(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return a file name that every operating system accepts.

    A name that needs a change gets a hash of the whole name before its suffix, so that different names stay
    different. Every file name that is derived from an input's name goes through here.

    Parameters
    ----------
    name
        A file name without folders.
    max_bytes
        Greatest length of the result in UTF-8 bytes.

    Examples
    --------
    >>> safe_name("slice-1.png")
    'slice-1.png'
    >>> safe_name("a:b.png").startswith("a_b-")
    True
    """
    cleaned = _FORBIDDEN.sub("_", name) or "_"
    if _DEVICE.fullmatch(cleaned):
        cleaned = f"_{cleaned}"
    if cleaned == name and len(name.encode()) <= max_bytes:
        return name
    mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    found = _ENDING.search(cleaned)
    stem, ending = (cleaned[: found.start()], found[0]) if found else (cleaned, "")
    room = max_bytes - len(f"-{mark}{ending}")
    # A character that does not fit whole is left out.
    return f"{stem.encode()[:room].decode(errors='ignore')}-{mark}{ending}"


def temporary_name(name: str) -> str:
    """Return the middle of a temporary file's name: after the dot, before eight random characters."""
    return safe_name(name, TEMPORARY_BYTES) if len(os.fsencode(name)) > TEMPORARY_BYTES else name


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary file beside `path`; rename it to `path` if the block succeeds, else remove it."""
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
    """Yield a temporary folder beside `path`; rename it to `path` if the block succeeds, else remove it.

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
    """Raise OSError if `folder` can neither be written to nor created. Nothing is written for the test."""
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
    """Create the parent folder of `path`, so that an error names that folder and not a temporary file."""
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
