"""Batches of slices from several requests, predicted by one engine in one thread."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gliascope.inference.engine import Engine, Outputs

Pixels = NDArray[np.uint8]
_REQUESTS_PER_BATCH = 4
"""Most requests that share a batch if each of them has slices enough."""


class Batcher:
    """A thread that predicts the slices of concurrent requests in batches.

    There is one thread for an engine, since ONNX Runtime uses all cores for one run.

    A batch is run as soon as the thread is free, full or not; more slices arrive during the run. So a single
    slice is predicted as fast as without batching, and batches fill up when the server is busy.

    Requests take turns, so that one slice does not wait for all slices of a volume. A turn is at least a
    quarter of a batch: with turns of one slice, a series among many single slices would wait for all of them
    for each of its slices.

    Parameters
    ----------
    engine
        The loaded graph.
    size
        Most slices in one batch.
    on_run
        Called in the thread after every run, with the number of slices and the seconds it took.
    """

    def __init__(self, engine: Engine, size: int, on_run: Callable[[int, float], None]) -> None:
        self._engine = engine
        self._size = size
        self._on_run = on_run
        self._queue: deque[_PendingSlices] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    async def run(self, pixels: Pixels) -> Outputs:
        """Predict slices. If the call is cancelled, slices that have not been predicted yet are dropped.

        Parameters
        ----------
        pixels
            Network inputs, uint8 (n, …), n ≥ 1.

        Raises
        ------
        RuntimeError
            If the batcher is closed.
        """
        pending = _PendingSlices(pixels)
        with self._changed:
            if not self._open:
                raise RuntimeError("the batcher is closed")
            self._queue.append(pending)
            self._changed.notify()
        try:
            return await pending.outputs
        except asyncio.CancelledError:
            with self._changed:
                pending.left = 0
            raise

    def close(self) -> None:
        """End the thread once it has predicted all slices in the queue. Returns at once."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def _serve(self) -> None:
        while batch := self._next():
            try:
                self._predict(batch)
            except Exception as error:  # any exception of the runtime: the thread must go on
                for pending, _ in batch:
                    pending.fail(error)

    def _next(self) -> "list[tuple[_PendingSlices, Pixels]]":
        """Wait for the next batch; an empty one means that the batcher is closed and the queue is empty."""
        with self._changed:
            while True:
                batch = self._collect()
                if batch or (not self._open and not self._queue):
                    return batch
                self._changed.wait()

    def _collect(self) -> "list[tuple[_PendingSlices, Pixels]]":
        batch: list[tuple[_PendingSlices, Pixels]] = []
        room = self._size
        while room and self._queue:
            share = max(1, self._size // _REQUESTS_PER_BATCH, room // len(self._queue))
            pending = self._queue.popleft()
            pixels = pending.take(min(share, room))
            if len(pixels):
                batch.append((pending, pixels))
                room -= len(pixels)
            if pending.left:
                self._queue.append(pending)
        return batch

    def _predict(self, batch: "list[tuple[_PendingSlices, Pixels]]") -> None:
        start = time.perf_counter()
        slices = [pixels for _, pixels in batch]
        outputs = self._engine(slices[0] if len(slices) == 1 else np.concatenate(slices))
        self._on_run(len(outputs.logits), time.perf_counter() - start)
        first = 0
        for pending, pixels in batch:
            pending.add(outputs.select(np.arange(first, first + len(pixels))))
            first += len(pixels)


class _PendingSlices:
    """Slices of one call of `Batcher.run`, and the outputs of those that have been predicted."""

    def __init__(self, pixels: Pixels) -> None:
        self._loop = asyncio.get_running_loop()
        self.outputs: asyncio.Future[Outputs] = self._loop.create_future()
        self._pixels = pixels
        self._received: list[Outputs] = []
        self.left = len(pixels)

    def take(self, slices: int) -> Pixels:
        """Remove the next slices, at most this many."""
        start = len(self._pixels) - self.left
        taken = self._pixels[start : start + slices] if self.left else self._pixels[:0]
        self.left -= len(taken)
        return taken

    def add(self, outputs: Outputs) -> None:
        self._received.append(outputs)
        if sum(len(one.logits) for one in self._received) == len(self._pixels):
            self._resolve(lambda: self.outputs.set_result(Outputs.concatenate(self._received)))

    def fail(self, error: Exception) -> None:
        self.left = 0
        self._resolve(lambda: self.outputs.set_exception(error))

    def _resolve(self, set_future: Callable[[], None]) -> None:
        """Set the future in its event loop, unless it is cancelled."""

        def unless_done() -> None:
            if not self.outputs.done():
                set_future()

        if not self._loop.is_closed():  # it is closed by a shutdown that ran out of time
            self._loop.call_soon_threadsafe(unless_done)
