"""Several things at a time, in order."""

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
    """Yield `await function(item)` for each item, in order, `width` at a time at most.

    What is under way is cancelled when one fails, or when this generator is closed: use it in `aclosing`.
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
    """The items."""
    for item in items:
        yield item


async def batched(lists: AsyncGenerator[list[Item], None], size: int) -> AsyncGenerator[list[Item], None]:
    """The lists' items, `size` at a time; the last batch may be smaller."""
    batch: list[Item] = []
    async with aclosing(lists):
        async for items in lists:
            batch += items
            while len(batch) >= size:
                yield batch[:size]
                batch = batch[size:]
    if batch:
        yield batch
