"""One process at a time in a folder, and what an interrupted one left there."""

import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gliascope.errors import BusyError, GliascopeError
from gliascope.runtime.files import check_writable, safe_name, temporary_name

LOCK, KEPT = ".lock", ".unfinished"
# What `gliascope.runtime.files` names its temporary siblings, and safetensors those that it writes them by.
_LEFT = re.compile(r"\.(.+)\.\w{8}\.(?:tmp|old)|\.tmp\w{6}")


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[Path]:
    """Keep other processes of ours out of `folder`; yield where its finished blocks may be kept.

    Temporary files that a killed process left right in `folder` are removed. What is kept is found by the
    next process where this one is interrupted or the disk is full, and removed where the block ends well or
    is refused. The lock is the system's own, so that it ends with its process, however that ends. Raises
    BusyError, or waits, where another process has it, and OSError where `folder` cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (keeps symlinks' names)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{folder}: {_owner(path)} is at work there; wait for it or choose another") from None
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        _sweep(folder)
        try:
            yield folder / KEPT
        except GliascopeError:  # the same command would meet it again
            _forget(folder / KEPT)
            raise
        _forget(folder / KEPT)
    finally:
        path.unlink(missing_ok=True)  # first: who waits for it sees that it is gone, and makes a new one
        lock.release()
        if new:
            with suppress(OSError):  # it holds something
                folder.rmdir()


@contextmanager
def file_lock(path: Path, *beside: str) -> Iterator[Path]:
    """The same for a file, and those of these names that are written beside it."""
    path = Path(os.path.abspath(path))  # noqa: PTH100
    check_writable(path.parent)
    own = path.with_name(safe_name(f".{path.name}{KEPT}"))
    with folder_lock(own) as kept:
        _sweep(path.parent, tuple(map(temporary_name, (path.name, *beside))))
        yield kept
    with suppress(OSError):  # an interrupted process made it
        own.rmdir()


def remove_stale_locks(folders: Iterable[Path]) -> None:
    """Remove locks that dead processes left in folders where nobody may work again."""
    for folder in folders:
        if (folder / LOCK).exists():
            with suppress(BusyError), folder_lock(folder):
                pass


def _forget(kept: Path) -> None:
    """Remove what was kept, at once: half of it must not be found."""
    with suppress(FileNotFoundError):
        shutil.rmtree(kept.rename(kept.with_name(f".{kept.name}.removed_.tmp")))


def _owner(path: Path) -> str:
    with suppress(OSError):
        if text := path.read_text(encoding="utf-8"):
            return text
    return "another process"  # which has not written its name yet


def _sweep(folder: Path, names: tuple[str, ...] = ()) -> None:
    """Remove what was to become these files of `folder`, or any without names."""
    for path in folder.iterdir():
        left = _LEFT.fullmatch(path.name)
        if left and (not names or left[1] in names):
            if not path.is_dir():
                path.unlink()
            elif left[1]:  # safetensors makes no folders
                shutil.rmtree(path)
