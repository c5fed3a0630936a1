"""The objects that all routes share, made once with the application."""

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
from gliascope.server.decode_limits import DecodeLimits
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

_MIB = 2**20
_RETRY = "10"
_POLL = 0.1
_log = logging.getLogger(__name__)


class Context:
    """Settings, models, keys, admission, jobs and metrics of one server.

    Parameters
    ----------
    settings
        Settings of the server.
    sources
        Bundles to serve; the first is the default model.

    Attributes
    ----------
    keys
        API keys; None on a server without keys.
    service, jobs
        Exist only while `lifespan` runs.
    state
        The server accepts work only while it is "ok".

    Raises
    ------
    GliascopeError
        If a bundle or the key file cannot be loaded.
    """

    def __init__(self, settings: Settings, sources: Sequence[ModelSource]) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.audit_log = None if settings.audit_log is None else AuditLog(settings.audit_log)
        self.rate_limiter = RateLimiter(settings.rate)
        self.admission = Admission(settings.queue_slices, settings.request_seconds)
        self.keys = None if settings.keys is None else KeyRing.load(settings.keys)
        self.models = ModelRegistry(sources, settings.batch_slices, self._on_run)
        self.pseudonyms = _pseudonyms(settings)
        self.upload_limits = _upload_limits(settings)
        self.temporary = Path(settings.temporary or tempfile.gettempdir())
        self.state: Literal["starting", "ok", "stopping"] = "starting"

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Run decoding processes and jobs while the application runs, and close everything at its end."""
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
        """Raise ApiError (503) unless the server accepts work."""
        if self.state != "ok":
            headers = {"Retry-After": _RETRY, "Connection": "close"}
            raise ApiError(503, self.state, f"the server is {self.state}; try again in {_RETRY} s", headers)

    async def drain(self, seconds: float) -> None:
        """Accept no more work, and wait until requests are answered and results of running jobs are fetched.

        Parameters
        ----------
        seconds
            Longest time to wait. A warning is logged if work is left then.
        """
        self.state = "stopping"
        jobs = self.jobs.unfinished

        async def finish() -> None:
            while self.admission.admitted_slices or any(not job.fetched for job in jobs if job in self.jobs):
                await asyncio.sleep(_POLL)

        try:
            await asyncio.wait_for(finish(), seconds)
        except TimeoutError:
            left = self.admission.admitted_slices, len(self.jobs.unfinished)
            _log.warning("stopping after %g s: %d slices and %d jobs are not finished", seconds, *left)

    async def reload(self, app: FastAPI) -> Reloaded:
        """Load the key file and all bundles again. One that cannot be loaded keeps its present state."""
        keys = None
        if self.settings.keys is not None:
            try:
                app.state.keys = self.keys = KeyRing.load(self.settings.keys)
                keys = "reloaded"
            except (GliascopeError, OSError) as error:
                keys = "failed: the key file is missing or damaged; see the server's log"
                _log.error("keys are not reloaded: %s", error)
        models = await self.models.reload()
        for name, outcome in models.items():
            self.metrics.reloads.labels(outcome.partition(":")[0]).inc()
            _log.log(logging.ERROR if ":" in outcome else logging.INFO, "model %s: %s", name, outcome)
        return Reloaded(models=models, keys=keys)

    def update_gauges(self) -> None:
        """Set the gauges among the metrics to their present values."""
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
"""Type of a route's parameter that receives the `Context`."""


def _pseudonyms(settings: Settings) -> StudyPseudonyms:
    salt = settings.salt
    return StudyPseudonyms(secrets.token_bytes(32) if salt is None else salt.get_secret_value().encode())


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        total_bytes=settings.upload_mb * _MIB,
        file_bytes=limits.MAX_BYTES,
        files=settings.upload_files,
        unpacked_bytes=settings.zip_mb * _MIB,
        ratio=settings.zip_ratio,
        seconds=settings.upload_seconds,
    )
