"""The one way from uploaded files to a Prediction, for requests and jobs."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import numpy as np
from starlette.concurrency import run_in_threadpool

from gliascope.errors import GliascopeError, ReadError
from gliascope.inference.finding import Finding
from gliascope.inference.predict import Predictor, PreparedSlice
from gliascope.io import may_be_in_series
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesCollector, SeriesMember
from gliascope.runtime.executors import cores
from gliascope.server.api_error import ApiError
from gliascope.server.decoding import Decoder
from gliascope.server.findings import StudyPseudonyms, slice_finding, study_finding
from gliascope.server.masks import MaskDetector
from gliascope.server.metrics import Metrics
from gliascope.server.models import ServedModel
from gliascope.server.ordered import as_async, batched, map_in_order
from gliascope.server.schemas import ModelId, Prediction, Reject, SliceFinding, StudyFinding
from gliascope.server.uploads import Upload

Result = TypeVar("Result")
_RUNS = 2
"""Batches of one order at a time: one in the engine, one being assessed and drawn."""


class ProgressListener(Protocol):
    """What a request or a job wants to know on the way."""

    def on_file_decoded(self, slices: int) -> None:
        """A file has been read, as so many slices, 0 if rejected. May raise ApiError."""

    def on_slice_assessed(self, number: int, one: PreparedSlice, finding: Finding) -> None:
        """The slice in this place of the Prediction, if the Order says so; in a thread."""

    def on_slices_predicted(self, slices: int) -> None:
        """So many slices have been answered in all."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a client wants to know.

    saliency: whether maps are part of the answer. keep: whether the Watch keeps slices.
    """

    model: ServedModel
    predictor: Predictor
    uploads: Sequence[Upload]
    saliency: bool = False
    store_slices: bool = False


def predictor_at_level(model: ServedModel, level: float | None) -> Predictor:
    """The model with prediction sets at the level, if one is wanted. Raises ApiError where it cannot be."""
    try:
        return model.predictor if level is None else model.predictor.at(level)
    except GliascopeError as error:
        raise ApiError(422, "bad_level", str(error)) from None


class PredictionService:
    """Decodes in other processes, runs the graph in its thread, assesses and draws in threads."""

    def __init__(self, decoder: Decoder, metrics: Metrics, studies: StudyPseudonyms, batch: int) -> None:
        self.decoder = decoder
        self.metrics = metrics
        self.pseudonyms = studies
        self.batch_slices = batch
        self._drawing = asyncio.Semaphore(cores())

    async def run_on_pixels(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call what works on pixels, in a thread; no more at a time than cores: slices may be large."""
        async with self._drawing:
            return await run_in_threadpool(function, *arguments)

    async def predict(self, request: PredictionRequest, listener: ProgressListener) -> Prediction:
        """Answer an order. A file that cannot be read is among the rejects; raises ApiError if none can."""
        return await _PredictionRun(self, request, listener).run()


class _PredictionRun:
    """One order on its way."""

    def __init__(self, service: PredictionService, order: PredictionRequest, watch: ProgressListener) -> None:
        self.service = service
        self.order = order
        self.watch = watch
        self.names = {upload.path: upload.name for upload in order.uploads}
        self.masks = MaskDetector(order.uploads)
        self.taken = 0
        self.slices: list[SliceFinding] = []
        self.findings: list[Finding] = []
        self.rejects: list[Reject] = []
        self.scales: dict[Path, SeriesScale] = {}
        self.unreadable: dict[Path, ReadError] = {}

    async def run(self) -> Prediction:
        service, model = self.service, self.order.model
        await self._measure_series()
        decoded = map_in_order(
            self._decode, as_async(self.masks.ordered_uploads), 2 * service.decoder.limits.workers
        )
        async with aclosing(
            map_in_order(self._answer, batched(decoded, service.batch_slices), _RUNS)
        ) as answers:
            async for slices, findings in answers:
                self.slices += slices
                self.findings += findings
                self.watch.on_slices_predicted(len(self.slices))
        if not self.slices:
            raise self._unreadable()
        return Prediction(
            model=ModelId(name=model.name, sha256=model.bundle.info.model_sha256),
            slices=self.slices,
            studies=self._studies(),
            rejects=self.rejects,
        )

    async def _measure_series(self) -> None:
        """Find the grey scale of each series of several files; all files of an order are at hand together."""
        sharing = await run_in_threadpool(_may_share, self.order.uploads)
        if len(sharing) < 2:
            return
        series, width = SeriesCollector(), 2 * self.service.decoder.limits.workers
        async with aclosing(map_in_order(self._measure, as_async(sharing), width)) as members:
            async for member in members:
                series.add(member)
        self.scales = {Path(name): scale for name, _, scale in series.scales()}

    async def _measure(self, upload: Upload) -> SeriesMember | None:
        try:
            return await self.service.decoder.read_series_member(
                upload.path, PurePosixPath(upload.name).parent.parts
            )
        except ReadError as error:
            self.unreadable[upload.path] = error
            return None

    async def _decode(self, upload: Upload) -> list[PreparedSlice]:
        prepared: list[PreparedSlice] = []
        path, wanted = upload.path, self.order.predictor.info.preprocessing
        try:
            if path in self.unreadable:
                raise self.unreadable[path]
            scale = {"scale": self.scales[path]} if path in self.scales else {}
            prepared = await self.service.decoder.decode(path, wanted, **scale)
            await self._check_mask(upload, prepared)
        except ReadError as error:
            self.masks.record_decoded(upload, [])
            _unlink(upload, prepared)
            prepared = []
            self.rejects.append(Reject(file=upload.name, reason=error.reason, detail=error.detail))
            self.service.metrics.rejects.labels(error.reason).inc()
        _unlink(upload, prepared)
        self.watch.on_file_decoded(len(prepared))
        return prepared

    async def _check_mask(self, upload: Upload, prepared: list[PreparedSlice]) -> None:
        slices = [one.slice for one in prepared]
        self.masks.record_decoded(upload, slices)
        await self.masks.check(upload, slices)

    async def _answer(self, batch: list[PreparedSlice]) -> tuple[list[SliceFinding], list[Finding]]:
        first = self.taken
        self.taken += len(batch)
        outputs = await self.order.model.batcher.run(np.stack([one.input for one in batch]))

        def assess() -> tuple[list[SliceFinding], list[Finding]]:
            findings = self.order.predictor.assess(batch, outputs)
            slices = [self._tell(one, finding) for one, finding in zip(batch, findings, strict=True)]
            if self.order.store_slices:
                for number, (one, finding) in enumerate(zip(batch, findings, strict=True), first):
                    self.watch.on_slice_assessed(number, one, finding)
            return slices, [replace(finding, map=None) for finding in findings]

        # Without pictures it takes less than handing it to a thread.
        drawn = self.order.saliency or self.order.store_slices
        return await self.service.run_on_pixels(assess) if drawn else assess()

    def _tell(self, one: PreparedSlice, finding: Finding) -> SliceFinding:
        self.service.metrics.slices.labels(self.order.model.name, finding.verdict).inc()
        maps_by = self.order.predictor.info.preprocessing if self.order.saliency else None
        return slice_finding(one, finding, self.names[one.slice.path], self.service.pseudonyms, maps_by)

    def _studies(self) -> list[StudyFinding]:
        members: dict[str | None, list[SliceFinding]] = {}
        for one in self.slices:
            members.setdefault(one.study, []).append(one)
        return [
            study_finding(finding, members[self.service.pseudonyms.pseudonym(finding.study or "")])
            for finding in self.order.predictor.studies(self.findings)
        ]

    def _unreadable(self) -> ApiError:
        first = self.rejects[0]
        reason = first.reason + (f" ({first.detail})" if first.detail else "")
        files = len(self.order.uploads)
        which = "the file" if files == 1 else f"any of {files} files; the first"
        return ApiError(422, "unreadable", f"could not read {which}: {reason}")


def _may_share(uploads: Sequence[Upload]) -> list[Upload]:
    return [upload for upload in uploads if may_be_in_series(upload.path)]


def _unlink(upload: Upload, prepared: list[PreparedSlice]) -> None:
    """Let the disk have the files back as soon as nobody maps them: small files may hold large slices."""
    upload.path.unlink(missing_ok=True)
    mapped = prepared[0].input if prepared else None
    if isinstance(mapped, np.memmap) and mapped.filename:
        Path(mapped.filename).unlink(missing_ok=True)
