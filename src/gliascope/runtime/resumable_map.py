"""Work over many files in blocks: a finished block is kept, and found again after an interruption."""

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
)  # a block ends at the first of them; a kill loses no more than one a core
_DIGEST = 16
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Item]):
    """Some files that follow each other. `key` names what they hold, as far as the file system tells."""

    key: str
    items: tuple[Item, ...]


def make_chunks(
    items: Iterable[Item],
    path_of: Callable[[Item], Path],
    settings: str,
    item_settings: Callable[[Item], object] = lambda _: "",
) -> Iterator[Chunk[Item]]:
    """Cut `items`, each of the file `place(item)`, into blocks.

    made_by: all that the result depends on beside the files, which count by path, size and the times of
    their last changes: equal or not, so that clocks may jump. also: what it depends on for one item alone.
    """
    pending: list[Item] = []
    size, content = 0, _content(settings)
    for item in items:
        path = path_of(item)
        pending.append(item)
        try:
            stat = path.stat()
            facts = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        except OSError:  # whoever reads it will say why
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
    description: str,
    executor: Executor | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield key and `work(block)` of each block, in order; with `kept`, found there where it is there.

    kept: a folder. made: is gone through twice, first to count. workers: who works on the blocks, by default
    the threads of this process. What they made is kept by this process, as soon as it is there.
    """
    done_by_them = executor.wrap(work) if executor else work

    def one(block: Chunk[Item]) -> tuple[Chunk[Item], bytes]:
        content = _load(folder / block.key) if folder else None
        if content is None:
            content = done_by_them(block)
            if folder:
                _save(folder / block.key, content)
        return block, content

    total = done = 0
    for block in chunks:
        total += len(block.items)
        done += len(block.items) if folder and (folder / block.key).exists() else 0
    if done:
        note(f"{description}: {done} of {total} files were done before an interruption")
    with progress(description, total) as advance:
        for block, content in map_in_order(one, chunks, executor):
            yield block.key, content
            advance(len(block.items))


def read_results(keys: Iterable[str], folder: Path) -> Iterator[bytes]:
    """What `by_blocks` has kept in that folder, again. Raises OSError where it is not there any more."""
    for key in keys:
        content = _load(folder / key)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "was removed while it was needed", str(folder / key))
        yield content


def _content(made_by: str) -> "hashlib.blake2b":
    return hashlib.blake2b(made_by.encode(), digest_size=_DIGEST)


def _save(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(_digest(content) + content)


def _load(path: Path) -> bytes | None:
    """What `_save` wrote; None where it is not there, or not whole, as after a power cut."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return content[_DIGEST:] if _digest(content[_DIGEST:]) == content[:_DIGEST] else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
