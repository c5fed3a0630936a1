"""Uploaded files decoded in worker processes, so that a hostile one ends its own request at most."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from gliascope.errors import DamagedFileError, ReadError
from gliascope.inference.predict import PreparedSlice
from gliascope.io import FORMATS
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesMember
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server import worker
from gliascope.server.api_error import ApiError
from gliascope.server.worker import DecodeLimits

_Task = Callable[[Path, int], worker.TaskResult]

_LOST = 5.0
"""Seconds after its time limit in which a worker must have been heard of."""

_LOOK = 0.5
"""Seconds between looks at whether a worker lives."""

# Imported once, not by each new worker. Whichever is missing here is missed when it is needed.
_PRELOADED = (worker.__name__, *(f"gliascope.io.{one.module}" for one in FORMATS), "h5py")

# Pebble raises a plain RuntimeError where a pool broke just before it is given a file.
_ENDED = (ProcessExpired, RuntimeError)


class Decoder:
    """Worker processes, for one event loop.

    Each worker is a pool of its own: pebble gives a pool up when an idle worker is killed, and that must not
    end what the others are doing.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        """Start the workers, in the background."""
        self.limits = limits
        self._workers = [_Worker(limits) for _ in range(limits.workers)]
        self._attempts = count()
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        for one in self._workers:
            self._free.put_nowait(one)

    async def decode(
        self, path: Path, preprocessing: Preprocessing, scale: SeriesScale | None = None
    ) -> list[PreparedSlice]:
        """Do as `inference.predict.prepare`, with arrays mapped from files that lie beside `path`.

        Of what the file says, only what a Finding shows comes back: no patient, no label, no mask.
        A worker that ends costs one retry, on a new one.

        Raises ReadError; Refusal (507) where the disk is full.
        """
        task = partial(worker.decode, preprocessing=preprocessing, scale=scale)
        attempt, answer = await self._ask(path, task)
        assert isinstance(answer, list)  # noqa: S101
        return worker.load_slices(path, preprocessing, attempt, answer)

    async def read_series_member(self, path: Path, folders: tuple[str, ...]) -> SeriesMember | None:
        """Do as `data.read.series.member` for a file that the client has in `folders`. Raises as `decode`."""
        _, answer = await self._ask(path, partial(worker.read_series_member, folders=folders))
        assert answer is None or isinstance(answer, SeriesMember)  # noqa: S101
        return answer

    async def _ask(self, path: Path, task: _Task) -> tuple[int, worker.TaskResult]:
        """The number of the attempt that came to an end, and what came of it."""
        one = await self._free.get()
        try:
            attempt, answer = await self._twice(one, path, task)
        except _ENDED:
            raise DamagedFileError(path, "decoding failed", "the decoder ended on it") from None
        except TimeoutError:
            limit = f"over {self.limits.seconds:g} s"
            raise DamagedFileError(path, "decoding took too long", limit) from None
        finally:
            self._free.put_nowait(one)
        if isinstance(answer, worker.DecodeFailure):
            if answer.disk_full:
                message = "the server has no space left for decoded slices; try again later"
                raise ApiError(507, "disk_full", message, {"Retry-After": "30"})
            raise ReadError(path, answer.reason, answer.detail)
        return attempt, answer

    def close(self) -> None:
        """End the workers, whatever they are doing, and wait for that."""
        for thread in [one.stop() for one in self._workers]:
            thread.join()

    async def _twice(self, one: "_Worker", path: Path, task: _Task) -> tuple[int, worker.TaskResult]:
        attempt = next(self._attempts)
        try:
            return attempt, await one.run(path, task, attempt)
        except _ENDED:
            logging.getLogger(__name__).warning("a decoding worker ended; its file is tried once more")
        attempt = next(self._attempts)
        return attempt, await one.run(path, task, attempt)


def _seen(answer: "asyncio.Future[worker.TaskResult]") -> None:
    """How it ends where nobody waits for it any more is no news; asyncio would print it."""
    if not answer.cancelled():
        answer.exception()


class _Worker:
    """One process, replaced when anything but an answer comes of a file."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self.pool = self._start()

    async def run(self, path: Path, task: _Task, attempt: int) -> worker.TaskResult:
        """Raises TimeoutError, ProcessExpired or RuntimeError."""
        if not self.pool.active:  # it was killed while idle
            self._replace()
        limits = self.limits
        what = path, task, attempt, limits.seconds + _LOST
        try:
            scheduled = self.pool.schedule(worker.run_task, what, timeout=limits.seconds)
            answer = asyncio.wrap_future(scheduled)
            answer.add_done_callback(_seen)
            return await self._answer(answer)
        except BaseException:  # a cancelled request too: what its worker is at, nobody waits for
            self._replace()
            raise

    async def _answer(self, answer: "asyncio.Future[worker.TaskResult]") -> worker.TaskResult:
        """Wait, and look now and then: of a file that was on its way when its worker died, nobody tells."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.limits.seconds + _LOST
        while not answer.done():
            await asyncio.wait({answer}, timeout=_LOOK)
            if not answer.done() and not self.pool.active:
                raise BrokenProcessPool("the worker died before it had the file")
            if not answer.done() and clock() > end:
                raise TimeoutError
        return answer.result()

    def stop(self) -> threading.Thread:
        """End the process; the thread ends when it has. SIGKILL follows SIGTERM after seconds."""
        self.pool.stop()  # type: ignore[no-untyped-call]
        thread = threading.Thread(target=self.pool.join)
        thread.start()
        return thread

    def _replace(self) -> None:
        self.stop()
        self.pool = self._start()

    def _start(self) -> ProcessPool:
        limits = self.limits
        # Not forked from the server: a fork would hold its sockets and whatever locks its threads hold.
        context = get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        pool = ProcessPool(
            max_workers=1,
            max_tasks=limits.tasks_per_worker,
            initializer=worker.limit_process,
            initargs=(limits,),
            context=context,
        )
        assert pool.active  # noqa: S101 - asking starts it
        return pool
