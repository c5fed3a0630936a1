"""Decoding of uploaded files in worker processes, so that a hostile file fails only its own request."""

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
from gliascope.server.decode_limits import DecodeLimits, limit_process

_Task = Callable[[Path, int], worker.TaskResult]

_GRACE = 5.0
"""Seconds after a task's time limit until its worker counts as dead."""

_POLL = 0.5
"""Seconds between checks whether a worker is alive."""

# Imported once by the forkserver, not by each new worker. A module that is not installed is skipped here.
_PRELOADED = (worker.__name__, *(f"gliascope.io.{one.module}" for one in FORMATS), "h5py")

# Pebble raises a plain RuntimeError if a pool broke just before it is given a file.
_ENDED = (ProcessExpired, RuntimeError)


class Decoder:
    """Worker processes that decode files, for one event loop. They are started in the background.

    Each worker is a pool of its own: pebble gives up a pool when one of its idle workers is killed, and the
    other workers must go on.

    Parameters
    ----------
    limits
        Number of workers, and limits of each.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self._workers = [_Worker(limits) for _ in range(limits.workers)]
        self._attempts = count()
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        for process in self._workers:
            self._free.put_nowait(process)

    async def decode(
        self, path: Path, preprocessing: Preprocessing, scale: SeriesScale | None = None
    ) -> list[PreparedSlice]:
        """Decode and preprocess a file, as `inference.predict.prepare` does, in a worker.

        If the worker ends unexpectedly, the file is tried once more in a new worker.

        Parameters
        ----------
        path
            The file.
        preprocessing
            Preprocessing of the model.
        scale
            Grey scale of the series that the file belongs to; None if the file has its own.

        Returns
        -------
        list of PreparedSlice
            Their arrays are mapped from a file beside `path`. Patient, label and mask are left out.

        Raises
        ------
        ReadError
            If the file cannot be read, takes too long, or ends the worker.
        ApiError
            507 if the disk is full.
        """
        task = partial(worker.decode, preprocessing=preprocessing, scale=scale)
        attempt, result = await self._run(path, task)
        assert isinstance(result, list)  # noqa: S101
        return worker.load_slices(path, preprocessing, attempt, result)

    async def read_series_member(self, path: Path, folders: tuple[str, ...]) -> SeriesMember | None:
        """Read what a file contributes to the grey scale of its series, as `io.series.series_member` does.

        Parameters
        ----------
        path
            The file.
        folders
            Folders of the file by the client's name of it.

        Returns
        -------
        SeriesMember or None
            None if the file has a grey scale of its own.

        Raises
        ------
        ReadError, ApiError
            As `decode` raises them.
        """
        _, result = await self._run(path, partial(worker.read_series_member, folders=folders))
        assert result is None or isinstance(result, SeriesMember)  # noqa: S101
        return result

    async def _run(self, path: Path, task: _Task) -> tuple[int, worker.TaskResult]:
        """Run a task in a free worker; its result, and the number of the attempt that gave the result."""
        process = await self._free.get()
        try:
            attempt, result = await self._run_with_retry(process, path, task)
        except _ENDED:
            raise DamagedFileError(path, "decoding failed", "the decoder ended on it") from None
        except TimeoutError:
            limit = f"over {self.limits.seconds:g} s"
            raise DamagedFileError(path, "decoding took too long", limit) from None
        finally:
            self._free.put_nowait(process)
        if isinstance(result, worker.DecodeFailure):
            if result.disk_full:
                message = "the server has no space left for decoded slices; try again later"
                raise ApiError(507, "disk_full", message, {"Retry-After": "30"})
            raise ReadError(path, result.reason, result.detail)
        return attempt, result

    def close(self) -> None:
        """End the workers, also those at work, and wait until they have ended."""
        for thread in [process.stop() for process in self._workers]:
            thread.join()

    async def _run_with_retry(
        self, process: "_Worker", path: Path, task: _Task
    ) -> tuple[int, worker.TaskResult]:
        attempt = next(self._attempts)
        try:
            return attempt, await process.run(path, task, attempt)
        except _ENDED:
            logging.getLogger(__name__).warning("a decoding worker ended; its file is tried once more")
        attempt = next(self._attempts)
        return attempt, await process.run(path, task, attempt)


def _mark_retrieved(result: "asyncio.Future[worker.TaskResult]") -> None:
    """Retrieve the exception of a future that nobody awaits any more; else asyncio would log it."""
    if not result.cancelled():
        result.exception()


class _Worker:
    """One process, which is replaced whenever a task ends without a result."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self.pool = self._start()

    async def run(self, path: Path, task: _Task, attempt: int) -> worker.TaskResult:
        """Run a task. Raises TimeoutError, or one of `_ENDED` if the process ends."""
        if not self.pool.active:  # the process was killed while idle
            self._replace()
        limits = self.limits
        arguments = path, task, attempt, limits.seconds + _GRACE
        try:
            scheduled = self.pool.schedule(worker.run_task, arguments, timeout=limits.seconds)
            result = asyncio.wrap_future(scheduled)
            result.add_done_callback(_mark_retrieved)
            return await self._wait(result)
        except BaseException:  # also a cancelled request: nobody waits for the task of its worker
            self._replace()
            raise

    async def _wait(self, result: "asyncio.Future[worker.TaskResult]") -> worker.TaskResult:
        """Wait for a result, and check regularly that the process is alive.

        Pebble does not report a process that died while it was being given the task.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + self.limits.seconds + _GRACE
        while not result.done():
            await asyncio.wait({result}, timeout=_POLL)
            if not result.done() and not self.pool.active:
                raise BrokenProcessPool("the worker died before it had the file")
            if not result.done() and clock() > end:
                raise TimeoutError
        return result.result()

    def stop(self) -> threading.Thread:
        """End the process by SIGTERM, and some seconds later by SIGKILL. The thread ends with the process."""
        self.pool.stop()  # type: ignore[no-untyped-call]
        thread = threading.Thread(target=self.pool.join)
        thread.start()
        return thread

    def _replace(self) -> None:
        self.stop()
        self.pool = self._start()

    def _start(self) -> ProcessPool:
        limits = self.limits
        # Not forked from the server: a fork would inherit its sockets and the locks that its threads hold.
        context = get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        pool = ProcessPool(
            max_workers=1,
            max_tasks=limits.tasks_per_worker,
            initializer=limit_process,
            initargs=(limits,),
            context=context,
        )
        assert pool.active  # noqa: S101 - asking starts it
        return pool
