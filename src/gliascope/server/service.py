"""From uploaded files to a prediction, for requests and for jobs."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from starlette.concurrency import run_in_threadpool

from gliascope.errors import ReadError
from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.io import may_be_in_series
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesCollector, SeriesMember
from gliascope.runtime.executors import cores
from gliascope.server.api_error import ApiError
from gliascope.server.decoding import Decoder
from gliascope.server.findings import StudyPseudonyms, slice_finding, study_finding
from gliascope.server.masks import MaskDetector
from gliascope.server.metrics import Metrics
from gliascope.server.ordered import as_async, batched, map_in_order
from gliascope.server.prediction_request import PredictionRequest, ProgressListener
from gliascope.server.schemas import ModelId, Prediction, Reject, SliceFinding, StudyFinding
from gliascope.server.uploads import Upload

Result = TypeVar("Result")
_CONCURRENT_BATCHES = 2
"""Batches of one request at a time: one in the engine, one that is assessed and drawn."""


class PredictionService:
    """Decodes files in processes, predicts slices in batches, and assesses and draws them in threads.

    Parameters
    ----------
    decoder
        Decodes files.
    metrics
        Metrics of the server.
    pseudonyms
        Gives pseudonyms of studies.
    batch_slices
        Most slices of one request in a batch.
    """

    def __init__(
        self, decoder: Decoder, metrics: Metrics, pseudonyms: StudyPseudonyms, batch_slices: int
    ) -> None:
        self.decoder = decoder
        self.metrics = metrics
        self.pseudonyms = pseudonyms
        self.batch_slices = batch_slices
        self._drawing = asyncio.Semaphore(cores())

    async def run_on_pixels(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function that works on pixels in a thread, at most one for each core at a time.

        The limit bounds the memory, since slices may be large.
        """
        async with self._drawing:
            return await run_in_threadpool(function, *arguments)

    async def predict(self, request: PredictionRequest, listener: ProgressListener) -> Prediction:
        """Predict the files of a request.

        Parameters
        ----------
        request
            The files, and the model.
        listener
            Is told of the progress.

        Returns
        -------
        Prediction
            Its rejects are the files that cannot be read.

        Raises
        ------
        ApiError
            422 if no file can be read, 507 if the disk is full, or what the listener raises.
        """
        return await _PredictionRun(self, request, listener).run()


class _PredictionRun:
    """One request while it is predicted."""

    def __init__(
        self, service: PredictionService, request: PredictionRequest, listener: ProgressListener
    ) -> None:
        self.service = service
        self.request = request
        self.listener = listener
        self.names = {upload.path: upload.name for upload in request.uploads}
        self.masks = MaskDetector(request.uploads)
        self.started = 0
        self.slices: list[SliceFinding] = []
        self.findings: list[Finding] = []
        self.rejects: list[Reject] = []
        self.scales: dict[Path, SeriesScale] = {}
        self.unreadable: dict[Path, ReadError] = {}

    async def run(self) -> Prediction:
        service, model = self.service, self.request.model
        await self._read_series_scales()
        uploads = as_async(self.masks.ordered_uploads)
        decoded = map_in_order(self._decode, uploads, 2 * service.decoder.limits.workers)
        predicted = map_in_order(self._predict, batched(decoded, service.batch_slices), _CONCURRENT_BATCHES)
        async with aclosing(predicted) as results:
            async for slices, findings in results:
                self.slices += slices
                self.findings += findings
                self.listener.on_slices_predicted(len(self.slices))
        if not self.slices:
            raise self._no_readable_file()
        return Prediction(
            model=ModelId(name=model.name, sha256=model.bundle.info.model_sha256),
            slices=self.slices,
            studies=self._studies(),
            rejects=self.rejects,
        )

    async def _read_series_scales(self) -> None:
        """Find the grey scale of each series that has several files among the uploads."""
        candidates = await run_in_threadpool(_possible_series_members, self.request.uploads)
        if len(candidates) < 2:
            return
        series, width = SeriesCollector(), 2 * self.service.decoder.limits.workers
        async with aclosing(map_in_order(self._read_member, as_async(candidates), width)) as members:
            async for member in members:
                series.add(member)
        self.scales = {Path(name): scale for name, _, scale in series.scales()}

    async def _read_member(self, upload: Upload) -> SeriesMember | None:
        folders = PurePosixPath(upload.name).parent.parts
        try:
            return await self.service.decoder.read_series_member(upload.path, folders)
        except ReadError as error:
            self.unreadable[upload.path] = error
            return None

    async def _decode(self, upload: Upload) -> list[PreparedSlice]:
        """Decode a file; one that cannot be read is added to the rejects and has no slices."""
        prepared: list[PreparedSlice] = []
        path, preprocessing = upload.path, self.request.predictor.info.preprocessing
        try:
            if path in self.unreadable:
                raise self.unreadable[path]
            scale = {"scale": self.scales[path]} if path in self.scales else {}
            prepared = await self.service.decoder.decode(path, preprocessing, **scale)
            await self._check_mask(upload, prepared)
        except ReadError as error:
            self.masks.record_decoded(upload, [])
            _unlink(upload, prepared)
            prepared = []
            self.rejects.append(Reject(file=upload.name, reason=error.reason, detail=error.detail))
            self.service.metrics.rejects.labels(error.reason).inc()
        _unlink(upload, prepared)
        self.listener.on_file_decoded(len(prepared))
        return prepared

    async def _check_mask(self, upload: Upload, prepared: list[PreparedSlice]) -> None:
        slices = [one.slice for one in prepared]
        self.masks.record_decoded(upload, slices)
        await self.masks.check(upload, slices)

    async def _predict(self, batch: list[PreparedSlice]) -> tuple[list[SliceFinding], list[Finding]]:
        """Findings of a batch of slices: those of the API, and the predictor's without their maps."""
        first = self.started
        self.started += len(batch)
        outputs = await self.request.model.batcher.run(np.stack([prepared.input for prepared in batch]))

        def assess() -> tuple[list[SliceFinding], list[Finding]]:
            findings = self.request.predictor.assess(batch, outputs)
            pairs = list(zip(batch, findings, strict=True))
            slices = [self._slice_finding(prepared, finding) for prepared, finding in pairs]
            if self.request.store_slices:
                for number, (prepared, finding) in enumerate(pairs, first):
                    self.listener.on_slice_assessed(number, prepared, finding)
            return slices, [replace(finding, map=None) for finding in findings]

        # Without pictures, assessing is faster than the hand-over to a thread.
        draws = self.request.saliency or self.request.store_slices
        return await self.service.run_on_pixels(assess) if draws else assess()

    def _slice_finding(self, prepared: PreparedSlice, finding: Finding) -> SliceFinding:
        self.service.metrics.slices.labels(self.request.model.name, finding.verdict).inc()
        return slice_finding(
            prepared,
            finding,
            file=self.names[prepared.slice.path],
            pseudonyms=self.service.pseudonyms,
            saliency_preprocessing=(
                self.request.predictor.info.preprocessing if self.request.saliency else None
            ),
        )

    def _studies(self) -> list[StudyFinding]:
        members: dict[str | None, list[SliceFinding]] = {}
        for finding in self.slices:
            members.setdefault(finding.study, []).append(finding)
        return [
            study_finding(study, members[self.service.pseudonyms.pseudonym(study.study or "")])
            for study in self.request.predictor.study_findings(self.findings)
        ]

    def _no_readable_file(self) -> ApiError:
        first = self.rejects[0]
        reason = first.reason + (f" ({first.detail})" if first.detail else "")
        files = len(self.request.uploads)
        which = "the file" if files == 1 else f"any of {files} files; the first"
        return ApiError(422, "unreadable", f"could not read {which}: {reason}")


def _possible_series_members(uploads: Sequence[Upload]) -> list[Upload]:
    """Files of a format whose series may consist of several files."""
    return [upload for upload in uploads if may_be_in_series(upload.path)]


def _unlink(upload: Upload, prepared: list[PreparedSlice]) -> None:
    """Delete a file and its decoded arrays; the disk space is free as soon as the arrays are not in use.

    Arrays that are mapped stay readable. The space matters, since small files may hold large slices.
    """
    upload.path.unlink(missing_ok=True)
    mapped = prepared[0].input if prepared else None
    if isinstance(mapped, np.memmap) and mapped.filename:
        Path(mapped.filename).unlink(missing_ok=True)
