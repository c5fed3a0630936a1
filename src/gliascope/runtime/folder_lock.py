"""Lock a folder or file for one process, and keep partial results for the next one after an interruption."""

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

LOCK, PARTIAL = ".lock", ".unfinished"
# Temporary files of `gliascope.runtime.files`, and those of safetensors.
_TEMPORARY = re.compile(r"\.(.+)\.\w{8}\.(?:tmp|old)|\.tmp\w{6}")


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[Path]:
    """Lock `folder` against other Gliascope processes; yield a subfolder for partial results.

    Temporary files that a killed process left directly in `folder` are removed. Partial results survive
    KeyboardInterrupt and OSError, so that the next run resumes. They are deleted on success and on
    GliascopeError. The operating system holds the lock, so it ends with its process, even if that is killed.

    Parameters
    ----------
    folder
        Created if it does not exist, and removed afterwards if it is empty.
    wait
        Wait for another process instead of raising BusyError.

    Yields
    ------
    Path
        Subfolder for partial results. It is not created.

    Raises
    ------
    BusyError
        If another process holds the lock and `wait` is false.
    OSError
        If `folder` cannot be written to.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (keeps symlinks' names)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"{folder}: {_owner(path)} is at work there; wait for it or choose another folder"
        ) from None
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        _sweep(folder)
        try:
            yield folder / PARTIAL
        except GliascopeError:  # running the same command again would raise it again
            _remove_partial(folder / PARTIAL)
            raise
        _remove_partial(folder / PARTIAL)
    finally:
        path.unlink(missing_ok=True)  # before the release, so that a waiting process creates a new file
        lock.release()
        if new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def file_lock(path: Path, *beside: str) -> Iterator[Path]:
    """Lock a file, as `folder_lock` locks a folder; yield a folder for partial results.

    Parameters
    ----------
    path
        The file that is going to be written.
    beside
        Names of further files that are written to the same folder. Their temporary files are removed, too.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100
    check_writable(path.parent)
    own = path.with_name(safe_name(f".{path.name}{PARTIAL}"))
    with folder_lock(own) as partial:
        _sweep(path.parent, tuple(map(temporary_name, (path.name, *beside))))
        yield partial
    with suppress(OSError):  # it exists only if an earlier process was interrupted
        own.rmdir()


def remove_stale_locks(folders: Iterable[Path]) -> None:
    """Remove the lock files of dead processes from folders that may never be used again."""
    for folder in folders:
        if (folder / LOCK).exists():
            with suppress(BusyError), folder_lock(folder):
                pass


def _remove_partial(partial: Path) -> None:
    """Remove partial results. Renamed first, so that no later run finds half of them."""
    with suppress(FileNotFoundError):
        shutil.rmtree(partial.rename(partial.with_name(f".{partial.name}.removed_.tmp")))


def _owner(path: Path) -> str:
    with suppress(OSError):
        if text := path.read_text(encoding="utf-8"):
            return text
    return "another process"  # it has not written its name yet


def _sweep(folder: Path, names: tuple[str, ...] = ()) -> None:
    """Remove temporary files from `folder`: those of the files `names`, or all without names."""
    for path in folder.iterdir():
        left = _TEMPORARY.fullmatch(path.name)
        if left and (not names or left[1] in names):
            if not path.is_dir():
                path.unlink()
            elif left[1]:  # safetensors makes no folders
                shutil.rmtree(path)
