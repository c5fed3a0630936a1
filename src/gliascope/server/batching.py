"""Slices of several requests in one run of the graph."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gliascope.inference.engine import Engine, Outputs

Pixels = NDArray[np.uint8]
_MIN_REQUESTS_PER_BATCH = 4
"""Requests that share a batch, where each has slices enough."""


class Batcher:
    """One thread for one Engine, whose runtime uses all cores: two runs at a time would only share them.

    It never waits for a batch to fill: it runs whatever is there, and meanwhile more arrives. So a lone slice
    is answered as fast as without batching, and the busier the server, the fuller its batches.
    Requests take turns, so that one slice doesn't wait for all of a volume. A turn is a quarter of a batch at
    least: of one slice each, a series among many single ones would wait through all of them for every slice.

    on_run is told, in this thread, of every run: slices and seconds.
    """

    def __init__(self, engine: Engine, size: int, on_run: Callable[[int, float], None]) -> None:
        self._engine = engine
        self._size = size
        self._on_run = on_run
        self._turns: deque[_PendingSlices] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    async def run(self, pixels: Pixels) -> Outputs:
        """What the graph says of slices, uint8 (n, …), n ≥ 1. If cancelled, what has not run never will."""
        work = _PendingSlices(pixels)
        with self._changed:
            if not self._open:
                raise RuntimeError("the batcher is closed")
            self._turns.append(work)
            self._changed.notify()
        try:
            return await work.answer
        except asyncio.CancelledError:
            with self._changed:
                work.left = 0
            raise

    def close(self) -> None:
        """Finish what was given, then end the thread. Returns at once."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def _serve(self) -> None:
        while batch := self._next():
            try:
                self._answer(batch)
            except Exception as error:  # whatever the runtime raises; the thread must outlive it
                for work, _ in batch:
                    work.fail(error)

    def _next(self) -> "list[tuple[_PendingSlices, Pixels]]":
        """The next batch, waited for; empty when closed and done."""
        with self._changed:
            while True:
                batch = self._collect()
                if batch or (not self._open and not self._turns):
                    return batch
                self._changed.wait()

    def _collect(self) -> "list[tuple[_PendingSlices, Pixels]]":
        batch: list[tuple[_PendingSlices, Pixels]] = []
        room = self._size
        while room and self._turns:
            share = max(1, self._size // _MIN_REQUESTS_PER_BATCH, room // len(self._turns))
            work = self._turns.popleft()
            pixels = work.take(min(share, room))
            if len(pixels):
                batch.append((work, pixels))
                room -= len(pixels)
            if work.left:
                self._turns.append(work)
        return batch

    def _answer(self, batch: "list[tuple[_PendingSlices, Pixels]]") -> None:
        start = time.perf_counter()
        slices = [pixels for _, pixels in batch]
        outputs = self._engine(slices[0] if len(slices) == 1 else np.concatenate(slices))
        self._on_run(len(outputs.logits), time.perf_counter() - start)
        first = 0
        for work, pixels in batch:
            work.add(outputs.at(np.arange(first, first + len(pixels))))
            first += len(pixels)


class _PendingSlices:
    """Slices of one call of `Batcher.run`: those not yet taken, and the answers so far."""

    def __init__(self, pixels: Pixels) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Outputs] = self._loop.create_future()
        self._pixels = pixels
        self._outputs: list[Outputs] = []
        self.left = len(pixels)

    def take(self, slices: int) -> Pixels:
        """The next slices, so many at most."""
        start = len(self._pixels) - self.left
        taken = self._pixels[start : start + slices] if self.left else self._pixels[:0]
        self.left -= len(taken)
        return taken

    def add(self, outputs: Outputs) -> None:
        self._outputs.append(outputs)
        if sum(len(one.logits) for one in self._outputs) == len(self._pixels):
            self._tell(lambda: self.answer.set_result(Outputs.join(self._outputs)))

    def fail(self, error: Exception) -> None:
        self.left = 0
        self._tell(lambda: self.answer.set_exception(error))

    def _tell(self, tell: Callable[[], None]) -> None:
        def unless_done() -> None:
            if not self.answer.done():
                tell()

        if not self._loop.is_closed():  # by a shutdown that ran out of time
            self._loop.call_soon_threadsafe(unless_done)
