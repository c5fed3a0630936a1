"""Run one function over many items in parallel, with the results in order and a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gliascope.runtime.progress import progress

PREFETCH = 2  # items given to each process: one it works on and one that is ready, so that it never waits

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Where items are worked on: threads, processes of this machine, or a Ray cluster."""

    @property
    def count(self) -> int:
        """Number of items worked on at the same time."""

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """Return a function that runs `function` on this executor and waits for the result.

        Up to `count` threads may call the returned function at once. An exception that `function` raises
        is raised by the returned function.
        """

    def stop(self) -> None:
        """Abandon the items in progress, because their results are no longer needed."""


@dataclass(frozen=True, slots=True)
class ThreadExecutor:
    """Threads of this process."""

    count: int

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """Return `function` unchanged: the calling thread runs it."""
        return function

    def stop(self) -> None:
        """Do nothing: a thread cannot be stopped, so items in progress are finished."""


def cores() -> int:
    """Return the number of CPU cores that this process may use.

    The environment variable GLIASCOPE_CORES decides if it is set. Otherwise the cores that the system allows
    are shared equally among the processes that torchrun started on this machine.
    """
    if stated := os.environ.get("GLIASCOPE_CORES"):
        return int(stated)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # set by torchrun


def map_with_progress(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    description: str,
    executor: Executor | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, and show a progress bar.

    Parameters
    ----------
    function, items, executor
        As for `map_in_order`.
    description
        Text at the left of the bar.
    """
    with progress(description, len(items)) as advance:
        for result in map_in_order(function, items, executor):
            yield result
            advance(1)


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], executor: Executor | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order.

    Items are worked on by threads, because decoding, resizing, hashing and waiting for other processes
    release the interpreter lock. At most 4 × `executor.count` results wait in memory.

    Parameters
    ----------
    function
        Called as it is. To run it in other processes, pass `executor.wrap(function)`.
    items
        Consumed lazily.
    executor
        Decides the number of threads and is stopped when the caller stops early. Default: a thread a core.

    Examples
    --------
    >>> list(map_in_order(abs, [-1, 2, -3]))
    [1, 2, 3]
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
            executor.stop()  # repeated, because an item may have started since the last call
            wait(running, timeout=1)


def _first(pending: deque[Future[Result]]) -> Result:
    """Remove and return the first result; it stays in `pending` if Ctrl-C ends the wait."""
    result = pending[0].result()
    pending.popleft()
    return result
