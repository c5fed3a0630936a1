"""The queue of jobs: a few run at a time, and finished ones are kept for a limited time and disk space."""

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
"""Seconds between searches for expired jobs."""
_RETRY = "30"


class Jobs:
    """All jobs of a server. For the event loop's thread only: `start` inside the loop, `close` at its end.

    Parameters
    ----------
    service
        Predicts the files of a job.
    settings
        Limits of jobs.
    """

    def __init__(self, service: PredictionService, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._reserved = 0
        self._tasks: list[asyncio.Task[None]] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __contains__(self, job: Job) -> bool:
        return job.id in self._jobs

    def start(self) -> None:
        """Begin to run queued jobs and to remove expired ones."""
        runners = [self._work() for _ in range(self._settings.jobs_running)]
        self._tasks = [asyncio.create_task(work) for work in (*runners, self._sweep())]

    async def close(self) -> None:
        """Cancel and remove all jobs."""
        for job in self:
            await self.remove(job)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def bytes_on_disk(self) -> int:
        """Size of the folders of all jobs."""
        return sum(job.bytes_on_disk for job in self)

    @property
    def unfinished(self) -> list[Job]:
        """Jobs that are queued or running."""
        return [job for job in self if not job.finished]

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place in the queue while a job's files are uploaded. Raises ApiError (503) if it is full."""
        if len(self.unfinished) + self._reserved >= self._settings.jobs_waiting:
            raise _busy("the queue of jobs is full")
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1

    async def free_disk_space(self) -> None:
        """Remove the oldest finished jobs until all jobs take less disk space than the limit.

        Raises
        ------
        ApiError
            503 if the unfinished jobs alone reach the limit.
        """
        finished = sorted((job for job in self if job.finished), key=lambda job: job.ended_at)
        while self.bytes_on_disk >= self._settings.jobs_mb * _MIB:
            if not finished:
                raise _busy("jobs take all the disk space that is set aside for them")
            await self.remove(finished.pop(0))

    def add(self, job: Job) -> None:
        """Add a job to the queue."""
        self._jobs[job.id] = job
        self._queue.put_nowait(job)

    def get(self, job_id: str, owner: str) -> Job:
        """Return a job of the owner.

        Raises
        ------
        ApiError
            404 if there is no such job, or it belongs to another key: nobody learns of jobs of others.
        """
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise ApiError(404, "unknown_job", "no such job, or it has been removed; send its files again")
        return job

    async def remove(self, job: Job) -> None:
        """Cancel a job if it runs, and remove its folder."""
        self._jobs.pop(job.id, None)
        if job.task:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)
        job.model_lease.close()
        await run_in_threadpool(job.folder_lease.close)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            if job not in self:
                continue
            job.task = asyncio.create_task(self._run(job))
            # Removing a job cancels the job's task, not this one.
            await asyncio.wait([job.task])

    async def _run(self, job: Job) -> None:
        request, job.state = job.request, "running"
        try:
            assert request is not None  # noqa: S101
            job.bytes_on_disk = await run_in_threadpool(_size, job)
            async with asyncio.timeout(self._settings.job_seconds):
                prediction = await self._service.predict(request, job)
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
        """Remove the oldest finished jobs of a key beyond the number that is kept."""
        ended = [job for job in self if job.owner == owner and job.finished]
        ended.sort(key=lambda job: job.ended_at)
        for job in ended[: -self._settings.jobs_kept]:
            await self.remove(job)

    async def _sweep(self) -> None:
        """Remove expired jobs and measure unfinished ones, again and again."""
        while True:
            await asyncio.sleep(_SWEEP)
            oldest = time.monotonic() - 60 * self._settings.jobs_minutes
            for job in self:
                if job.finished and job.ended_at < oldest:
                    await self.remove(job)
                elif not job.finished:
                    job.bytes_on_disk = await run_in_threadpool(_size, job)


def _busy(why: str) -> ApiError:
    message = f"{why}; try again in {_RETRY} s, or delete jobs whose results you have fetched"
    return ApiError(503, "busy", message, {"Retry-After": _RETRY})


def _size(job: Job) -> int:
    """Bytes of all files in a job's folder. Files may be deleted meanwhile."""
    total = 0
    for folder, _, names in os.walk(job.folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total
