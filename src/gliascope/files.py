"""Atomic writes: a final name is either absent, or complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; rename it to `path` if the block succeeds, else remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
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
def new_file(path: Path) -> Iterator[Path]:
    """As `atomic_file`, but where `path` exists by then, it stays: another process was faster."""
    with atomic_file(path.with_name(f".{os.getpid()}-{path.name}")) as temporary:
        yield temporary
    mine = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling folder; rename it to `path` if the block succeeds, else remove it.

    An existing `path` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            # A folder cannot be renamed over a full one: step the old one aside first.
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent)) / path.name
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


def mapped_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Create a writable memory-mapped .npy file. Raises OSError where the disk cannot hold it.

    The space is reserved at once: writing into a sparse mapping on a full disk kills the process.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        except OSError as error:  # it does not say which file
            raise OSError(error.errno, error.strerror, str(path)) from None
    return array


def write_rows(path: Path, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
    """Write values[i] to row rows[i] of a .npy file, and wait for the disk. Raises OSError where it is full.

    Not through a mapping: in a sparse file on a full disk that kills the process.
    """
    offset: int = np.load(path, mmap_mode="r").offset
    with path.open("r+b", buffering=0) as stream:
        for row, value in zip(rows.tolist(), values, strict=True):
            stream.seek(offset + row * value.nbytes)
            stream.write(np.ascontiguousarray(value).data)
        os.fsync(stream.fileno())


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
