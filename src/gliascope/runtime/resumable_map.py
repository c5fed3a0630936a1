"""Work on many files in chunks, whose results are saved so that an interrupted run resumes."""

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from gliascope.runtime.executors import Executor, map_in_order
from gliascope.runtime.files import atomic_file
from gliascope.runtime.progress import note, progress

MAX_CHUNK_FILES, MAX_CHUNK_BYTES = (
    100,
    32 << 20,
)  # a chunk ends at either limit; a kill loses one chunk per core
_DIGEST = 16
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Item]):
    """Consecutive items that are worked on together.

    Parameters
    ----------
    key
        Hash of the settings and of the files' paths, sizes and times.
    items
        The items, in order.
    """

    key: str
    items: tuple[Item, ...]


def make_chunks(
    items: Iterable[Item],
    path_of: Callable[[Item], Path],
    settings: str,
    item_settings: Callable[[Item], object] = lambda _: "",
) -> Iterator[Chunk[Item]]:
    """Divide `items` into chunks of at most MAX_CHUNK_FILES files.

    A file counts as unchanged if its path, size and times of last change are equal to those of the saved
    result. Times are compared for equality only, so clocks may jump.

    Parameters
    ----------
    items
        Consumed lazily.
    path_of
        Returns the file of an item.
    settings
        Everything besides the files that the results depend on.
    item_settings
        Returns what the result of a single item depends on besides.

    Yields
    ------
    Chunk
        In the order of `items`.
    """
    pending: list[Item] = []
    size, content = 0, _content(settings)
    for item in items:
        path = path_of(item)
        pending.append(item)
        try:
            stat = path.stat()
            facts = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        except OSError:  # reading the file will raise the error
            facts = (0, 0, 0)
        size += facts[0]
        content.update(f"{path}\0{facts}\0{item_settings(item)}\0".encode("utf-8", "surrogateescape"))
        if len(pending) == MAX_CHUNK_FILES or size >= MAX_CHUNK_BYTES:
            yield Chunk(content.hexdigest(), tuple(pending))
            pending, size, content = [], 0, _content(settings)
    if pending:
        yield Chunk(content.hexdigest(), tuple(pending))


def resumable_map(
    chunks: Iterable[Chunk[Item]],
    work: Callable[[Chunk[Item]], bytes],
    folder: Path | None,
    *,
    description: str,
    executor: Executor | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield the key and the result of each chunk, in order; load results that an earlier run saved.

    Parameters
    ----------
    chunks
        Iterated twice: first to count the files.
    work
        Returns the result of a chunk as bytes.
    folder
        Where this process saves each result as soon as it is ready. None: nothing is saved or loaded.
    description
        Text of the progress bar.
    executor
        Works on the chunks. Default: threads of this process.

    Yields
    ------
    key, content
        Key of the chunk, and the bytes that `work` returned.
    """
    work_on = executor.wrap(work) if executor else work

    def load_or_work(chunk: Chunk[Item]) -> tuple[Chunk[Item], bytes]:
        content = _load(folder / chunk.key) if folder else None
        if content is None:
            content = work_on(chunk)
            if folder:
                _save(folder / chunk.key, content)
        return chunk, content

    total = done = 0
    for chunk in chunks:
        total += len(chunk.items)
        done += len(chunk.items) if folder and (folder / chunk.key).exists() else 0
    if done:
        note(f"{description}: {done} of {total} files were done before an interruption")
    with progress(description, total) as advance:
        for chunk, content in map_in_order(load_or_work, chunks, executor):
            yield chunk.key, content
            advance(len(chunk.items))


def read_results(keys: Iterable[str], folder: Path) -> Iterator[bytes]:
    """Yield results that `resumable_map` saved in `folder`, by key. Raises OSError if one was removed."""
    for key in keys:
        content = _load(folder / key)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "was removed while it was needed", str(folder / key))
        yield content


def _content(settings: str) -> "hashlib.blake2b":
    return hashlib.blake2b(settings.encode(), digest_size=_DIGEST)


def _save(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(_digest(content) + content)


def _load(path: Path) -> bytes | None:
    """Return what `_save` wrote; None if the file is missing or incomplete, as after a power cut."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return content[_DIGEST:] if _digest(content[_DIGEST:]) == content[:_DIGEST] else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
