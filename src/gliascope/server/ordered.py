"""Asynchronous generators: a concurrent map that keeps the order, and batches."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_in_order(
    function: Callable[[Item], Awaitable[Result]], items: AsyncGenerator[Item, None], width: int
) -> AsyncGenerator[Result, None]:
    """Call a coroutine function on items concurrently, and yield the results in the order of the items.

    When a call fails or this generator is closed, the calls that still run are cancelled. Use it within
    `contextlib.aclosing`.

    Parameters
    ----------
    function
        The coroutine function.
    items
        Its arguments.
    width
        Most calls at one time.
    """
    running: deque[asyncio.Future[Result]] = deque()
    try:
        async with aclosing(items):
            async for item in items:
                running.append(asyncio.ensure_future(function(item)))
                if len(running) >= width:
                    yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def as_async(items: Iterable[Item]) -> AsyncGenerator[Item, None]:
    """Yield the items of an iterable as an asynchronous generator."""
    for item in items:
        yield item


async def batched(lists: AsyncGenerator[list[Item], None], size: int) -> AsyncGenerator[list[Item], None]:
    """Yield the items of lists in batches of `size`; the last batch may be smaller."""
    batch: list[Item] = []
    async with aclosing(lists):
        async for items in lists:
            batch += items
            while len(batch) >= size:
                yield batch[:size]
                batch = batch[size:]
    if batch:
        yield batch
