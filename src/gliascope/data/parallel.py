"""Run one function over many items on all cores, in order, with a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gliascope.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Number of CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Sequence[Item], description: str
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, and show how far it is."""
    with progress(description, len(items)) as advance:
        for result in in_order(function, items):
            yield result
            advance(1)


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order.

    Threads, because decoding, resizing and hashing release the interpreter lock; a bounded window,
    so that results wait in memory only as far as the slowest item holds up the order.
    """
    workers = cores()
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
