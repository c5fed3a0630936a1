"""The document compare.json: runs that were tested on the same slices, side by side."""

from typing import ClassVar

from pydantic import Field

from gliascope.evaluation.comparison import AgainstBest
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.reports.document import Document, Text
from gliascope.reports.report import Leak

ALPHA = 0.05


class Latency(FrozenModel):
    """Milliseconds for one slice: the median, and the quartiles."""

    value: float
    low: float
    high: float


class ComparedRun(FrozenModel):
    """One run: its metrics, its comparison with the best, and its cost."""

    name: Text
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    against_best: AgainstBest | None = Field(description="null of the best itself")
    folder: Text
    recipe: str
    seconds: float = Field(description="of one training")
    device: str = Field(description="that it was trained on")
    parameters: int
    bytes: int = Field(description="of the ONNX graph")
    latency_ms: Latency
    leak: Leak | None


class EnsembleGain(FrozenModel):
    """What an ensemble gains over those of its members that are compared, and its cost."""

    name: Text
    members: tuple[Text, ...] = Field(description="those that are compared")
    of: int = Field(description="how many members it has")
    gain: Estimate = Field(description="in accuracy over the mean of the members")
    latency: float = Field(description="as a multiple of the members' mean")
    bytes: float = Field(description="as a multiple of the members' mean")
    seconds: float = Field(description="of training, as a multiple of the members' mean")


class Comparison(Document):
    """Runs that were tested on the same slices."""

    file: ClassVar[str] = "compare.json"
    command: ClassVar[str] = "compare"

    title: Text = Field(description="what the first run was trained on")
    protocol: str
    description: str = Field(description="of the protocol")
    leaky: bool
    folds: int = Field(description="models that each run is tested with under this protocol")
    notes: tuple[str, ...] = Field(description="what these test slices cannot tell, in sentences")
    n: int = Field(description="test slices")
    groups: int
    classes: tuple[str, ...]
    best: Text = Field(description="name of the most accurate run")
    equal_to_best: tuple[Text, ...] = Field(
        description="runs that no test tells from the best, after Holm's correction"
    )
    runs: tuple[ComparedRun, ...] = Field(description="the most accurate first")
    ensembles: tuple[EnsembleGain, ...] = ()


def equal_to_best(runs: tuple[ComparedRun, ...]) -> tuple[str, ...]:
    """Return the names of the runs that no test distinguishes from the best, after Holm's correction."""
    return tuple(
        run.name
        for run in runs
        if run.against_best and max(run.against_best.p_holm, run.against_best.p_groups_holm) >= ALPHA
    )
