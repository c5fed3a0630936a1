"""What the routes share: one of each, made with the app."""

import asyncio
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from starlette.concurrency import run_in_threadpool

from gliascope.errors import GliascopeError
from gliascope.io import limits
from gliascope.server.admission import Admission
from gliascope.server.api_error import ApiError
from gliascope.server.audit_log import AuditLog, silence_libraries
from gliascope.server.decoding import Decoder
from gliascope.server.findings import StudyPseudonyms
from gliascope.server.jobs import Jobs
from gliascope.server.keys import KeyRing
from gliascope.server.metrics import Metrics
from gliascope.server.models import ModelRegistry, ModelSource
from gliascope.server.ratelimit import RateLimiter
from gliascope.server.schemas import Reloaded
from gliascope.server.service import PredictionService
from gliascope.server.settings import Settings
from gliascope.server.uploads import UploadLimits, remove_stale_folders
from gliascope.server.worker import DecodeLimits

_MIB = 2**20
_RETRY = "10"
_POLL = 0.1
_log = logging.getLogger(__name__)


class Context:
    """Raises GliascopeError where a Bundle or the file of keys cannot be loaded."""

    def __init__(self, settings: Settings, sources: Sequence[ModelSource]) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.audit_log = None if settings.audit_log is None else AuditLog(settings.audit_log)
        self.rate_limiter = RateLimiter(settings.rate)
        self.admission = Admission(settings.queue_slices, settings.request_seconds)
        self.keys = None if settings.keys is None else KeyRing.load(settings.keys)
        self.models = ModelRegistry(sources, settings.batch_slices, self._on_run)
        self.pseudonyms = _studies(settings)
        self.upload_limits = _upload_limits(settings)
        self.temporary = Path(settings.temporary or tempfile.gettempdir())
        self.state: Literal["starting", "ok", "stopping"] = "starting"

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Everything that runs beside the requests; `service` and `jobs` are there from now on."""
        silence_libraries()
        remove_stale_folders(self.temporary)
        decoder = Decoder(DecodeLimits.from_settings(self.settings))
        self.service = PredictionService(decoder, self.metrics, self.pseudonyms, self.settings.batch_slices)
        self.jobs = Jobs(self.service, self.settings)
        self.jobs.start()
        self.state = "ok"
        try:
            yield
        finally:
            self.state = "stopping"
            await self.jobs.close()
            await run_in_threadpool(decoder.close)
            self.models.close()
            if self.audit_log:
                self.audit_log.close()

    def check_accepting(self) -> None:
        """Raise Refusal unless the server takes work."""
        if self.state != "ok":
            headers = {"Retry-After": _RETRY, "Connection": "close"}
            raise ApiError(503, self.state, f"the server is {self.state}; try again in {_RETRY} s", headers)

    async def drain(self, seconds: float) -> None:
        """Take nothing more and finish what was taken, jobs too, whose answers wait to be fetched."""
        self.state = "stopping"
        left = self.jobs.unfinished

        async def finish() -> None:
            while self.admission.admitted_slices or any(
                not job.fetched for job in left if self.jobs.knows(job)
            ):
                await asyncio.sleep(_POLL)

        try:
            await asyncio.wait_for(finish(), seconds)
        except TimeoutError:
            left_over = self.admission.admitted_slices, len(self.jobs.unfinished)
            _log.warning("stopping after %g s: %d slices and %d jobs are given up", seconds, *left_over)

    async def reload(self, app: FastAPI) -> Reloaded:
        """Read the keys and all Bundles again; what is damaged stays what it was."""
        keys = None
        if self.settings.keys is not None:
            try:
                app.state.keys = self.keys = KeyRing.load(self.settings.keys)
                keys = "reloaded"
            except (GliascopeError, OSError) as error:
                keys = "failed: the file of keys is missing or damaged; the log says more"
                _log.error("keys are not reloaded: %s", error)
        models = await self.models.reload()
        for name, outcome in models.items():
            self.metrics.reloads.labels(outcome.partition(":")[0]).inc()
            _log.log(logging.ERROR if ":" in outcome else logging.INFO, "model %s: %s", name, outcome)
        return Reloaded(models=models, keys=keys)

    def update_gauges(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.queue_slices.set(self.admission.admitted_slices)
        self.metrics.jobs_bytes.set(self.jobs.bytes_on_disk)
        for state in ("queued", "running", "done", "failed"):
            self.metrics.jobs.labels(state).set(sum(job.state == state for job in self.jobs))

    def _on_run(self, model: str, slices: int, seconds: float) -> None:
        self.admission.record_run(slices, seconds)
        self.metrics.batch_slices.labels(model).observe(slices)
        self.metrics.batch_seconds.labels(model).observe(seconds)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


RequestContext = Annotated[Context, Depends(_context)]
"""A route's parameter."""


def _studies(settings: Settings) -> StudyPseudonyms:
    given = settings.salt
    return StudyPseudonyms(secrets.token_bytes(32) if given is None else given.get_secret_value().encode())


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        total_bytes=settings.upload_mb * _MIB,
        file_bytes=limits.MAX_BYTES,
        files=settings.upload_files,
        unpacked_bytes=settings.zip_mb * _MIB,
        ratio=settings.zip_ratio,
        seconds=settings.upload_seconds,
    )
