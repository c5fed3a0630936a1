"""Run one function over many items on all cores, or wherever else, in order, with a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gliascope.runtime.progress import progress

PREFETCH = 2  # items for each other process: one at work, one that waits, so that none ever does

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Who works on many items: this process (`Here`), or a cluster."""

    @property
    def count(self) -> int:
        """How many items they are given at once."""

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """The same function, done by them.

        To be called by up to `count` threads at once; what it raises comes back as it was.
        """

    def stop(self) -> None:
        """Give up what is being worked on; its results are not wanted any more."""


@dataclass(frozen=True, slots=True)
class ThreadExecutor:
    """Threads of this process."""

    count: int

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """The function itself."""
        return function

    def stop(self) -> None:
        """A thread cannot be stopped: what is being worked on ends."""


def cores() -> int:
    """Number of CPU cores this process may use: GLIASCOPE_CORES, else its share of what the system allows."""
    if stated := os.environ.get("GLIASCOPE_CORES"):
        return int(stated)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # torchrun's, on this machine


def map_with_progress(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    description: str,
    executor: Executor | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, and show how far it is."""
    with progress(description, len(items)) as advance:
        for result in map_in_order(function, items, executor):
            yield result
            advance(1)


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], executor: Executor | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order; by default on all cores.

    Threads, because decoding, resizing and hashing release the interpreter lock, and so does waiting for a
    cluster; a bounded window, so that results wait in memory only as far as the slowest item holds up the
    order. The function is called as it is: what of it workers do is what `Workers.give` made.
    """
    executor = executor or ThreadExecutor(cores())
    if executor.count == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(executor.count)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * executor.count:
                yield _first(pending)
        while pending:
            yield _first(pending)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        while running := [future for future in pending if not future.done()]:
            executor.stop()  # again: one may just have been about to start
            wait(running, timeout=1)


def _first(pending: deque[Future[Result]]) -> Result:
    """Its result; it stays among them as long as it is waited for, which Ctrl-C may end."""
    result = pending[0].result()
    pending.popleft()
    return result
