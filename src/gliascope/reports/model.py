"""The tested model, and the run that trained it, as report.json describes them."""

from pydantic import Field

from gliascope.evaluation.estimate import FrozenModel
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes.run import EnsembleRecord, TrainingRecord
from gliascope.uncertainty.calibrator import CalibratorInfo


class TrainedModel(FrozenModel):
    """A model that `gliascope train` made."""

    sha256: str = Field(description="of the ONNX graph")
    onnx_bytes: int = Field(description="size of the ONNX graph")
    parameters: int
    seconds: float = Field(description="of training, in its last session")
    activation_maps: bool = Field(description="whether the graph gives class activation maps")
    calibrator: CalibratorInfo | None = Field(description="its calibration; null where there is none")


class OnnxModel(FrozenModel):
    """An ONNX graph that was trained outside of Gliascope."""

    sha256: str
    onnx_bytes: int
    onnx: str = Field(description="name of the file")
    outputs: str = Field(description="the output that was read, and what it holds")
    preprocessing: Preprocessing


class PredictionTable(FrozenModel):
    """A table of predictions of an unknown model."""

    sha256: str = Field(description="of the table")
    predictions: str = Field(description="name of the file")
    columns: dict[str, str] = Field(description="how its columns were read")


class RunFacts(TrainingRecord):
    """How the model was trained: the facts of run.json, and the recipe's seed."""

    ensemble: EnsembleRecord | None = Field(default=None, description="the members; null for a single model")
    seed: int
    deterministic: bool
