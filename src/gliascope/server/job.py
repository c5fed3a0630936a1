"""Work whose answer is fetched later: one piece of it."""

import asyncio
import json
import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np

from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.preprocessing.preprocess import Preprocessing, visible_box
from gliascope.server.api_error import ApiError
from gliascope.server.saliency import saliency_png, slice_png
from gliascope.server.schemas import ErrorBody, Prediction, Progress
from gliascope.server.schemas import Job as Told
from gliascope.server.service import PredictionRequest

JobState = Literal["queued", "running", "done", "failed"]
INPUTS_FOLDER = "inputs"
_RESULT = "result.json"


@dataclass(slots=True, eq=False)
class Job:
    """An order of a key, and the folder its answer is kept in.

    What was sent lies in the folder's `inputs`, until it has run. model_use keeps the model's engine until
    then, `kept` the folder until the job is forgotten.
    most_slices: that it may have. on_disk: bytes that it takes there. ended: by time.monotonic.
    """

    owner: str
    request_id: str
    model: str
    files: int
    saliency_preprocessing: Preprocessing | None
    request: PredictionRequest | None
    folder: Path
    model_lease: ExitStack
    folder_lease: ExitStack
    max_slices: int
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: JobState = "queued"
    slices_done: int = 0
    slices_read: int = 0
    files_done: int = 0
    error: ApiError | None = None
    task: asyncio.Task[None] | None = None
    bytes_on_disk: int = 0
    ended_at: float = 0.0
    fetched: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed")

    def on_file_decoded(self, slices: int) -> None:
        """See `service.Watch`."""
        self.files_done += 1
        self.slices_read += slices
        if self.slices_read > self.max_slices:
            message = f"a job may have {self.max_slices} slices; send fewer files at a time"
            raise ApiError(413, "too_many_slices", message)

    def on_slice_assessed(self, number: int, one: PreparedSlice, finding: Finding) -> None:
        """Write what the slice's picture and map need."""
        (self.folder / f"{number}.png").write_bytes(slice_png(one.slice.pixels))
        if self.saliency_preprocessing and finding.map is not None:
            box = visible_box(one.slice.pixels, self.saliency_preprocessing)
            shape = one.slice.pixels.shape[:2]
            np.savez(self.folder / f"{number}.npz", map=finding.map, shape=shape, box=box)

    def on_slices_predicted(self, slices: int) -> None:
        """See `service.Watch`."""
        self.slices_done = slices

    def write_result(self, prediction: Prediction) -> None:
        """Keep what came of it."""
        (self.folder / _RESULT).write_text(prediction.model_dump_json(), encoding="utf-8")

    def to_json(self, fetch: bool = True) -> bytes:
        """As JSON. The result is read from disk: of thousands of slices, it would fill the memory.

        fetch: whether the client gets it, and not its headers alone; the server waits for that when it stops.
        """
        error = None
        if self.error:
            error = ErrorBody(code=self.error.code, message=self.error.message, request_id=self.request_id)
        progress = Progress(slices_done=self.slices_done, files_done=self.files_done, files=self.files)
        told = Told(
            id=self.id, model=self.model, state=self.state, progress=progress, error=error
        ).model_dump()
        self.fetched |= fetch and told["state"] in ("done", "failed")
        if told["state"] != "done":
            return json.dumps(told).encode()
        del told["result"]
        result = self._read(_RESULT)
        return json.dumps(told).encode()[:-1] + b', "result": ' + result + b"}"

    def image(self, number: int) -> bytes:
        """PNG of a slice as read. Raises Refusal where there is none."""
        return self._read(f"{number}.png")

    def saliency(self, number: int) -> bytes:
        """RGBA PNG of where the model looked. Raises Refusal where there is none."""
        self.image(number)
        if self.saliency_preprocessing is None:
            raise ApiError(404, "no_saliency", "this model cannot say where it looked; choose another")
        with np.load(BytesIO(self._read(f"{number}.npz")), allow_pickle=False) as kept:
            height, width = kept["shape"].tolist()
            top, bottom, left, right = kept["box"].tolist()
            return saliency_png(kept["map"], (height, width), (top, bottom, left, right))

    def _read(self, name: str) -> bytes:
        if self.state == "done":
            with suppress(FileNotFoundError):  # also of a job forgotten just now
                return (self.folder / name).read_bytes()
        raise ApiError(404, "unknown_slice", "the job has no such slice, or not yet; see result.slices")
