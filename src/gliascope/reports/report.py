"""The document report.json: the evaluation of one model."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field

from gliascope.audit.facts import AuditVerdict, SourceOverlap
from gliascope.download.public import Origin
from gliascope.evaluation.curves import ClassCurves
from gliascope.evaluation.estimate import FrozenModel
from gliascope.evaluation.folds import Folds
from gliascope.evaluation.metrics import Metrics
from gliascope.evaluation.operating import OperatingPoints
from gliascope.evaluation.reliability import ReliabilityBin
from gliascope.evaluation.studies import Studies
from gliascope.evaluation.subgroups import Subgroup
from gliascope.evaluation.untested import Untested
from gliascope.recipes.run import EpochMetrics
from gliascope.reports.document import Document, Text
from gliascope.reports.model import OnnxModel, PredictionTable, RunFacts, TrainedModel
from gliascope.reports.uncertainty import Calibration, PredictionSets, Verdicts
from gliascope.splits.ledger import EarlierEvaluations
from gliascope.splits.validation import ValidationUse
from gliascope.uncertainty.calibrator import CalibratorInfo


class FoldValidation(ValidationUse):
    """How one fold used its validation slices."""

    fold: str = Field(description="empty where a protocol has no folds")


class ProtocolReport(Untested, Metrics):
    """The test under one protocol. The numbers of `Metrics` are of the test slices."""

    description: str = Field(description="one sentence, such as what is kept apart from training")
    leaky: bool = Field(description="whether copies or patients are on both sides by design")
    deployed: bool = Field(description="whether it tests the deployed model, and no other of its recipe")
    earlier_evaluations: EarlierEvaluations = Field(
        default=EarlierEvaluations(),
        description="how many other models were tested on the same slices before",
    )
    reliability: tuple[ReliabilityBin, ...] = Field(description="bins of the reliability diagram")
    subgroups: dict[str, dict[str, Subgroup]] = Field(
        default={}, description="by fact (source, modality, plane, format) and its value"
    )
    operating: OperatingPoints | None = Field(
        default=None, description="tumour or none at stated rates; null without a class no_tumor"
    )
    curves: dict[str, ClassCurves] = Field(default={}, description="ROC and precision-recall, by class")
    studies: Studies | None = Field(default=None, description="null where no study has two slices")
    calibration: Calibration | None = None
    sets: PredictionSets | None = Field(default=None, description="null without a calibrated model")
    verdicts: Verdicts | None = Field(default=None, description="null without a calibrated model")
    validation: tuple[FoldValidation, ...] = Field(
        default=(), description="by fold; empty for external models"
    )
    folds: Folds | None = Field(default=None, description="null where one model is tested")


class Mistake(FrozenModel):
    """A wrong prediction."""

    file: Text
    label: str
    predicted: str
    probability: float


class ClassCounts(FrozenModel):
    """Slices by class of one source, or of one subset of the split."""

    name: Text
    slices: dict[str, int] = Field(description="by class")
    total: int
    groups: int | None = Field(description="independent groups; null where they were not counted")

    @classmethod
    def of(cls, name: str, slices: Mapping[str, int], groups: int | None = None) -> Self:
        """Create the row, with the total of `slices` by class."""
        return cls(name=name, slices=dict(slices), total=sum(slices.values()), groups=groups)


class Leak(FrozenModel):
    """Accuracy if the epoch were chosen on the test set, and accuracy of the honest choice."""

    epoch: int = Field(description="with the highest test accuracy, the first of equals")
    accuracy: float = Field(description="on the test slices, at that epoch")
    honest_epoch: int = Field(description="that validation chose")
    honest_accuracy: float = Field(description="on the test slices, at the honest epoch")


class Report(Document):
    """All metrics of an evaluation, and what was evaluated."""

    file: ClassVar[str] = "report.json"
    command: ClassVar[str] = "evaluate"

    title: Text
    protocols: dict[str, ProtocolReport] = Field(min_length=1, description="by name, the headline first")
    sources: tuple[ClassCounts, ...] = ()
    subsets: tuple[ClassCounts, ...] = Field(
        default=(), description="train, val and test of the headline's split"
    )
    unreadable: dict[str, int] = Field(default={}, description="files that could not be used, by reason")
    curves: tuple[EpochMetrics, ...] = Field(default=(), description="training, by epoch through all stages")
    chosen_epoch: int | None = Field(default=None, description="from 1")
    leak: Leak | None = Field(default=None, description="null where training never saw the test slices")
    mistakes: tuple[Mistake, ...] = Field(
        default=(), description="of the headline, the most confident first, one of a group"
    )
    recipe: str = Field(default="", description="YAML; empty for an external model")
    run: RunFacts | None = Field(default=None, description="null for an external model")
    model: TrainedModel | OnnxModel | PredictionTable
    audit: AuditVerdict | None = Field(default=None, description="null where no audit was made")
    overlaps: tuple[SourceOverlap, ...] = Field(default=(), description="measured by the audit")
    decisions: str | None = Field(default=None, description="which of a person's decisions were applied")
    origins: dict[str, Origin] = Field(default={}, description="of sources that `fetch` brought, by name")
    external: bool = Field(default=False, description="whether someone else trained the model")

    @property
    def headline(self) -> ProtocolReport:
        """The result of the first protocol."""
        return next(iter(self.protocols.values()))

    @property
    def calibrator(self) -> CalibratorInfo | None:
        """The calibrator of the model; None where there is none."""
        return self.model.calibrator if isinstance(self.model, TrainedModel) else None


def find_leak(curves: Sequence[EpochMetrics], chosen_epoch: int | None) -> Leak | None:
    """Compare the epoch with the highest test accuracy with the chosen one.

    Parameters
    ----------
    curves
        Metrics by epoch.
    chosen_epoch
        From 1; None where none was chosen.

    Returns
    -------
    Leak or None
        None where training never evaluated the test slices.
    """
    tested = {row.epoch: row.test_accuracy for row in curves if row.test_accuracy is not None}
    if chosen_epoch is None or chosen_epoch not in tested:
        return None
    epoch = max(tested, key=lambda number: tested[number])
    return Leak(
        epoch=epoch,
        accuracy=tested[epoch],
        honest_epoch=chosen_epoch,
        honest_accuracy=tested[chosen_epoch],
    )
