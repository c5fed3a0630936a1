"""Types of the HTTP API's JSON, as OpenAPI shows them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gliascope import RESEARCH_USE
from gliascope.evaluation.aggregation import AGGREGATION_DESCRIPTION
from gliascope.inference.bundle import HeadlineMetrics

_SAID: dict[str, Any] = {
    "label": "meningioma",
    "probabilities": {"glioma": 0.02, "meningioma": 0.95, "no_tumor": 0.01, "pituitary": 0.02},
    "prediction_set": ["meningioma"],
    "outlier_score": 0.41,
    "verdict": "accepted",
    "notes": [],
}
_SLICE: dict[str, Any] = {
    "file": "head/IM0001.dcm",
    "slice": 0,
    "study": "b1946ac92492d2347c6235b4d2611184",
    "width": 512,
    "height": 512,
    "plane": "axial",
    "modality": "MR",
    "kind": None,
    **_SAID,
    "saliency": None,
}
_STUDY: dict[str, Any] = {
    "file": "head/IM0001.dcm",
    "study": "b1946ac92492d2347c6235b4d2611184",
    "modality": "MR",
    "slices": 24,
    "aggregation": AGGREGATION_DESCRIPTION,
    **_SAID,
    "prediction_set": None,
    "verdict": "unchecked",
}
_REJECT = {"file": "notes.txt", "reason": "format not recognised", "detail": "known: JPEG, PNG, …"}
_PREDICTION: dict[str, Any] = {
    "model": {
        "name": "tumours",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "research_use": RESEARCH_USE,
    "slices": [_SLICE],
    "studies": [_STUDY],
    "rejects": [_REJECT],
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class FindingFields(BaseModel):
    """What findings of slices and of studies have in common; docs/trust.md explains each number."""

    label: str = Field(description="the most probable class")
    probabilities: dict[str, float] = Field(description="by class; calibrated if the model has a calibrator")
    prediction_set: list[str] | None = Field(
        description="the true class is among these at the calibrated level; null for studies"
    )
    outlier_score: float | None = Field(
        description="above 1, a slice is unlike the training data; for a study, the median of its slices"
    )
    verdict: Literal["accepted", "uncertain", "out of scope", "unchecked"]
    notes: list[str] = Field(description="remarks on how the slice was read, a sentence each")


class _SliceFields(BaseModel):
    file: str = Field(description="the name that the client gave the file")
    slice: int = Field(description="position within the file, from 0")
    study: str | None = Field(description="salted hash of the file's study identifier")
    width: int = Field(description="in pixels")
    height: int = Field(description="in pixels")
    plane: str | None = Field(
        description="the nearest of axial, coronal and sagittal; null if not in the file"
    )
    modality: str | None = Field(description="DICOM code; null if not in the file")
    kind: str | None = Field(
        description="localizer or derived map, which do not count for the study; null for an ordinary slice"
    )


class SliceFinding(FindingFields, _SliceFields):
    """The finding of one slice."""

    model_config = _example(_SLICE)

    saliency: str | None = Field(
        None, description="base64 of an RGBA PNG of the slice's size; the more opaque, the more important"
    )


class _StudyFields(BaseModel):
    file: str = Field(description="the first of its files")
    study: str
    modality: str | None
    slices: int = Field(description="number of slices")
    aggregation: str = Field(
        AGGREGATION_DESCRIPTION, description="how the slices' probabilities were combined"
    )


class StudyFinding(FindingFields, _StudyFields):
    """The finding of a study, from all its slices."""

    model_config = _example(_STUDY)

    verdict: Literal["out of scope", "unchecked"] = Field(
        description="out of scope if fewer than half of its slices are in scope, else unchecked"
    )


class Reject(BaseModel):
    """A file that could not be read, or is not an image."""

    model_config = _example(_REJECT)

    file: str
    reason: str = Field(description="one of a few short phrases")
    detail: str


class ModelId(BaseModel):
    """The model that made a prediction."""

    name: str
    sha256: str = Field(description="SHA-256 of the graph")


class Prediction(BaseModel):
    """The findings of all files of a request."""

    model_config = _example(_PREDICTION)

    model: ModelId
    research_use: str = RESEARCH_USE
    slices: list[SliceFinding]
    studies: list[StudyFinding]
    rejects: list[Reject]


class ErrorBody(BaseModel):
    """An error and its remedy."""

    code: str = Field(description="kind of error, in snake_case, for programs")
    message: str = Field(description="one line, for people")
    request_id: str = Field(description="also in the header X-Request-ID; name it when you ask for help")


class Error(BaseModel):
    """The form of every error response."""

    model_config = _example(
        {
            "error": {
                "code": "unreadable",
                "message": "no file could be read: format not recognised",
                "request_id": "4f0c1d2e9a7b6c35",
            }
        }
    )

    error: ErrorBody


class Progress(BaseModel):
    """Progress of a job."""

    slices_done: int
    files_done: int
    files: int


class Job(BaseModel):
    """A job; `result` is set once it is done, `error` once it has failed."""

    model_config = _example(
        {
            "id": "3yUQ0sTtOQ1c4jSgqZSd3g",
            "model": "tumours",
            "state": "done",
            "progress": {"slices_done": 1, "files_done": 2, "files": 2},
            "result": _PREDICTION,
            "error": None,
        }
    )

    id: str
    model: str
    state: Literal["queued", "running", "done", "failed"]
    progress: Progress
    result: Prediction | None = None
    error: ErrorBody | None = None


class CalibratorFacts(BaseModel):
    """How probabilities are calibrated, and what the prediction sets promise."""

    level: float = Field(description="share of patients whose sets hold the truth")
    method: Literal["lac"] = Field(default="lac", description="method of the prediction sets")
    temperature: float
    groups: int = Field(description="number of patients that the sets were calibrated on")


class ModelFacts(BaseModel):
    """Description of a model."""

    name: str
    sha256: str
    recipe: str
    classes: dict[str, str | None] = Field(description="by class: its description, or null if none is known")
    preprocessing: dict[str, Any]
    calibrator: CalibratorFacts | None
    metrics: dict[str, HeadlineMetrics]
    parameters: int
    saliency: bool = Field(description="whether the model gives saliency maps")
    licences: dict[str, str]
    versions: dict[str, str]
    card: str | None = Field(description="the model card, Markdown")
    research_use: str = RESEARCH_USE


class ModelSummary(BaseModel):
    """One of the models served."""

    name: str
    sha256: str
    recipe: str
    classes: list[str]
    saliency: bool
    default: bool = Field(description="whether requests that name no model use it")
    reload_failed: str | None = Field(
        description="why the last reload of the bundle failed; null if it did not"
    )


class Reloaded(BaseModel):
    """Result of a reload: by model `reloaded`, `unchanged`, or `failed: ` and why.

    A model whose reload failed is served as before.
    """

    model_config = _example({"models": {"tumours": "reloaded", "other": "failed: the bundle: not a bundle"}})

    models: dict[str, str]
    keys: str | None = Field(None, description="result of reloading the key file; null without one")


class Health(BaseModel):
    """State of the server; it accepts work only while the status is ok."""

    status: Literal["ok", "starting", "stopping"]
