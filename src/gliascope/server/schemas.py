"""What goes over the wire, as OpenAPI shows it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gliascope import RESEARCH_USE
from gliascope.evaluation.aggregation import DESCRIPTION
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
    "aggregation": DESCRIPTION,
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
    """What the model says of a slice or a study; docs/trust.md tells what each number means."""

    label: str = Field(description="the likeliest class")
    probabilities: dict[str, float] = Field(description="by class; calibrated if the model has a calibrator")
    prediction_set: list[str] | None = Field(
        description="the classes that the truth is among, at the level; of slices only"
    )
    outlier_score: float | None = Field(
        description="past 1, it is unlike all that the model knows; a study's is the median of its slices'"
    )
    verdict: Literal["accepted", "uncertain", "out of scope", "unchecked"]
    notes: list[str] = Field(description="what to know of how the slice was read, a sentence each")


class _Slice(BaseModel):
    file: str = Field(description="the name that the client gave the file")
    slice: int = Field(description="place within the file, from 0")
    study: str | None = Field(description="a salted hash of what the file calls its study")
    width: int = Field(description="in pixels")
    height: int = Field(description="in pixels")
    plane: str | None = Field(description="axial, coronal or sagittal, the nearest, where the file says")
    modality: str | None = Field(description="DICOM code, where the file says")
    kind: str | None = Field(
        description="localizer or derived map, which have no say in the study; null for an ordinary slice"
    )


class SliceFinding(FindingFields, _Slice):
    """Of one slice."""

    model_config = _example(_SLICE)

    saliency: str | None = Field(
        None, description="base64 of an RGBA PNG of the slice's size; the more opaque, the more it counted"
    )


class _Study(BaseModel):
    file: str = Field(description="the first of its files")
    study: str
    modality: str | None
    slices: int = Field(description="how many")
    aggregation: str = Field(DESCRIPTION, description="how the slices' probabilities were put together")


class StudyFinding(FindingFields, _Study):
    """Of all slices of a study together."""

    model_config = _example(_STUDY)

    verdict: Literal["out of scope", "unchecked"] = Field(
        description="out of scope where fewer than half of its slices are in scope, else unchecked"
    )


class Reject(BaseModel):
    """A file that was set aside."""

    model_config = _example(_REJECT)

    file: str
    reason: str = Field(description="one of a few short phrases")
    detail: str


class ModelId(BaseModel):
    """Which model answered."""

    name: str
    sha256: str = Field(description="of the graph")


class Prediction(BaseModel):
    """The answer to a request's files."""

    model_config = _example(_PREDICTION)

    model: ModelId
    research_use: str = RESEARCH_USE
    slices: list[SliceFinding]
    studies: list[StudyFinding]
    rejects: list[Reject]


class ErrorBody(BaseModel):
    """What went wrong, and the remedy."""

    code: str = Field(description="snake_case, for programs")
    message: str = Field(description="one line, for people")
    request_id: str = Field(description="also in the header X-Request-ID; name it when you ask for help")


class Error(BaseModel):
    """Every error looks like this."""

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
    """How far a job is."""

    slices_done: int
    files_done: int
    files: int


class Job(BaseModel):
    """A job; `result` once it is done, `error` once it has failed."""

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
    method: Literal["lac"] = Field(default="lac", description="of the prediction sets")
    temperature: float
    groups: int = Field(description="patients that the sets were calibrated on")


class ModelFacts(BaseModel):
    """All that is known of a model."""

    name: str
    sha256: str
    recipe: str
    classes: dict[str, str | None] = Field(description="each with what it stands for, where we know")
    preprocessing: dict[str, Any]
    calibrator: CalibratorFacts | None
    metrics: dict[str, HeadlineMetrics]
    parameters: int
    saliency: bool = Field(description="whether it can say where it looked")
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
    default: bool = Field(description="whether it answers where none is named")
    reload_failed: str | None = Field(
        description="why the model is still what it was, where what lies there now cannot be loaded"
    )


class Reloaded(BaseModel):
    """By model: `reloaded`, `unchanged`, or `failed: ` and why; a failed one keeps serving what it was."""

    model_config = _example({"models": {"tumours": "reloaded", "other": "failed: the bundle: not a bundle"}})

    models: dict[str, str]
    keys: str | None = Field(None, description="what came of the file of keys, where there is one")


class Health(BaseModel):
    """Whether the server lives, and whether it takes work."""

    status: Literal["ok", "starting", "stopping"]
