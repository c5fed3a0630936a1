"""Jobs: queued, run a few at a time, kept for a while, forgotten."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from gliascope.server.api_error import ApiError
from gliascope.server.errors import to_api_error
from gliascope.server.job import INPUTS_FOLDER, Job
from gliascope.server.service import PredictionService
from gliascope.server.settings import Settings

_MIB = 2**20
_SWEEP = 20.0
"""Seconds between looks for what is old."""
_RETRY = "30"


class Jobs:
    """For the event loop's thread alone. Start it inside the loop; close it to forget everything."""

    def __init__(self, service: PredictionService, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._coming = 0
        self._tasks: list[asyncio.Task[None]] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def start(self) -> None:
        """Begin to run what is queued and to forget what is old."""
        runners = [self._work() for _ in range(self._settings.jobs_running)]
        self._tasks = [asyncio.create_task(one) for one in (*runners, self._sweep())]

    async def close(self) -> None:
        """Cancel what runs and remove all."""
        for job in self:
            await self.forget(job)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def bytes_on_disk(self) -> int:
        """That jobs take on disk."""
        return sum(job.bytes_on_disk for job in self)

    @property
    def unfinished(self) -> list[Job]:
        """Queued or running."""
        return [job for job in self if not job.finished]

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place for a job whose files are on their way. Raises Refusal where there is none."""
        if len(self.unfinished) + self._coming >= self._settings.jobs_waiting:
            raise _busy("as many jobs are waiting as the server takes")
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def free_disk_space(self) -> None:
        """Forget the oldest finished jobs until the rest take no more than they may; or raise Refusal."""
        finished = sorted((job for job in self if job.finished), key=lambda job: job.ended_at)
        while self.bytes_on_disk >= self._settings.jobs_mb * _MIB:
            if not finished:
                raise _busy("jobs take all the space they may")
            await self.forget(finished.pop(0))

    def add(self, job: Job) -> None:
        """Take a job."""
        self._jobs[job.id] = job
        self._queue.put_nowait(job)

    def knows(self, job: Job) -> bool:
        """Whether it has not been forgotten."""
        return job.id in self._jobs

    def get(self, name: str, owner: str) -> Job:
        """The owner's job. Raises Refusal where there is none: nobody learns of others' jobs."""
        job = self._jobs.get(name)
        if job is None or job.owner != owner:
            raise ApiError(404, "unknown_job", "no such job, or it has been forgotten; send its files again")
        return job

    async def forget(self, job: Job) -> None:
        """Cancel it if it runs, and remove all that is kept of it."""
        self._jobs.pop(job.id, None)
        if job.task:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)
        job.model_lease.close()
        await run_in_threadpool(job.folder_lease.close)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            if not self.knows(job):
                continue
            job.task = asyncio.create_task(self._run(job))
            # Forgetting a job cancels its task, not this one.
            await asyncio.wait([job.task])

    async def _run(self, job: Job) -> None:
        order, job.state = job.request, "running"
        try:
            assert order is not None  # noqa: S101
            job.bytes_on_disk = await run_in_threadpool(_size, job)
            async with asyncio.timeout(self._settings.job_seconds):
                prediction = await self._service.predict(order, job)
            await run_in_threadpool(job.write_result, prediction)
            job.state = "done"
        except TimeoutError:
            limit = f"the job took over {self._settings.job_seconds:g} s; send fewer files at a time"
            job.error, job.state = ApiError(504, "timeout", limit), "failed"
        except Exception as error:
            job.error = to_api_error(error, job.request_id)
            job.state = "failed"
        finally:
            job.request = None
            job.ended_at = time.monotonic()
            job.model_lease.close()
            await run_in_threadpool(shutil.rmtree, job.folder / INPUTS_FOLDER, ignore_errors=True)
            job.bytes_on_disk = await run_in_threadpool(_size, job)
        await self._trim(job.owner)

    async def _trim(self, owner: str) -> None:
        ended = [job for job in self if job.owner == owner and job.finished]
        ended.sort(key=lambda job: job.ended_at)
        for job in ended[: -self._settings.jobs_kept]:
            await self.forget(job)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            oldest = time.monotonic() - 60 * self._settings.jobs_minutes
            for job in self:
                if job.finished and job.ended_at < oldest:
                    await self.forget(job)
                elif not job.finished:
                    job.bytes_on_disk = await run_in_threadpool(_size, job)


def _busy(why: str) -> ApiError:
    message = f"{why}; try again in {_RETRY} s, or delete jobs that you have fetched"
    return ApiError(503, "busy", message, {"Retry-After": _RETRY})


def _size(job: Job) -> int:
    """Bytes below the folder; files may vanish meanwhile."""
    total = 0
    for above, _, names in os.walk(job.folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(above) / name).stat().st_size
    return total
