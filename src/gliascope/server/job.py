"""One job: a prediction request whose result the client fetches later."""

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
from gliascope.server import schemas
from gliascope.server.api_error import ApiError
from gliascope.server.prediction_request import PredictionRequest
from gliascope.server.saliency import saliency_png, slice_png
from gliascope.server.schemas import ErrorBody, Prediction, Progress

JobState = Literal["queued", "running", "done", "failed"]
INPUTS_FOLDER = "inputs"
"""Folder within a job's folder that holds the uploaded files until the job has run."""
_RESULT = "result.json"


@dataclass(slots=True, eq=False)
class Job:
    """A job, which is the `ProgressListener` of its own prediction.

    Attributes
    ----------
    owner
        Name of the API key that sent the job.
    request_id
        Identifier of the request that sent the job.
    model
        Name of the model.
    files
        Number of uploaded files.
    saliency_preprocessing
        Preprocessing of a model that gives saliency maps; None for other models.
    request
        What to predict; None once the job has run.
    folder
        Folder of the uploads, the result and the pictures.
    model_lease
        Keeps the model's engine running until the job has run.
    folder_lease
        Keeps the folder until the job is removed.
    max_slices
        Most slices that the job may have.
    id
        Random identifier, known to the owner only.
    slices_read, slices_done, files_done
        Slices decoded, slices predicted, and files decoded or rejected so far.
    error
        Why the job failed.
    bytes_on_disk
        Size of the folder when it was last measured.
    ended_at
        Time at which the job ended, by time.monotonic.
    fetched
        Whether the client has fetched the result or the error.
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
        """Whether the job has ended, with a result or an error."""
        return self.state in ("done", "failed")

    def on_file_decoded(self, slices: int) -> None:
        """See `prediction_request.ProgressListener`."""
        self.files_done += 1
        self.slices_read += slices
        if self.slices_read > self.max_slices:
            message = f"a job may have {self.max_slices} slices; send fewer files at a time"
            raise ApiError(413, "too_many_slices", message)

    def on_slice_assessed(self, number: int, prepared: PreparedSlice, finding: Finding) -> None:
        """Write the slice's picture, and its map if it has one, to the job's folder."""
        (self.folder / f"{number}.png").write_bytes(slice_png(prepared.slice.pixels))
        if self.saliency_preprocessing and finding.map is not None:
            box = visible_box(prepared.slice.pixels, self.saliency_preprocessing)
            shape = prepared.slice.pixels.shape[:2]
            np.savez(self.folder / f"{number}.npz", map=finding.map, shape=shape, box=box)

    def on_slices_predicted(self, slices: int) -> None:
        """See `prediction_request.ProgressListener`."""
        self.slices_done = slices

    def write_result(self, prediction: Prediction) -> None:
        """Write the result to the job's folder."""
        (self.folder / _RESULT).write_text(prediction.model_dump_json(), encoding="utf-8")

    def to_json(self, fetch: bool = True) -> bytes:
        """Make the job's JSON: its state, and its result or error once it has ended.

        The result's JSON is read from disk, since results of thousands of slices would fill the memory.

        Parameters
        ----------
        fetch
            Whether the client gets the whole response, and not its headers only. A stopping server waits
            until each result has been fetched.
        """
        error = None
        if self.error:
            error = ErrorBody(code=self.error.code, message=self.error.message, request_id=self.request_id)
        progress = Progress(slices_done=self.slices_done, files_done=self.files_done, files=self.files)
        content = schemas.Job(
            id=self.id, model=self.model, state=self.state, progress=progress, error=error
        ).model_dump()
        self.fetched |= fetch and content["state"] in ("done", "failed")
        if content["state"] != "done":
            return json.dumps(content).encode()
        del content["result"]
        result = self._read(_RESULT)
        return json.dumps(content).encode()[:-1] + b', "result": ' + result + b"}"

    def image(self, number: int) -> bytes:
        """Return the PNG of a slice by its position in the result. Raises ApiError (404) if there is none."""
        return self._read(f"{number}.png")

    def saliency(self, number: int) -> bytes:
        """Return the RGBA PNG of a slice's saliency map. Raises ApiError (404) if there is none."""
        self.image(number)
        if self.saliency_preprocessing is None:
            raise ApiError(404, "no_saliency", "this model has no saliency maps; choose another model")
        with np.load(BytesIO(self._read(f"{number}.npz")), allow_pickle=False) as arrays:
            height, width = arrays["shape"].tolist()
            top, bottom, left, right = arrays["box"].tolist()
            return saliency_png(arrays["map"], (height, width), (top, bottom, left, right))

    def _read(self, name: str) -> bytes:
        """Content of a file of the job's folder. Raises ApiError (404) if it is not there."""
        if self.state == "done":
            with suppress(FileNotFoundError):  # the job may have been removed just now
                return (self.folder / name).read_bytes()
        raise ApiError(404, "unknown_slice", "the job has no such slice, or not yet; see result.slices")
