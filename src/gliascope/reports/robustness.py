"""The document robustness.json: a model tested on corrupted slices."""

from typing import ClassVar

from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.robustness import RobustnessMetrics
from gliascope.reports.document import Document, Text


class RobustnessRun(FrozenModel):
    """The run whose model is tested."""

    recipe: str
    folder: Text
    protocol: str = Field(description="whose test slices are corrupted")
    seed: int


class Strength(RobustnessMetrics):
    """Metrics of all slices under one strength of a corruption."""

    strength: float
    setting: str = Field(description="the strength in words")


class Corruption(FrozenModel):
    """One corruption, at increasing strengths."""

    title: str
    imitates: str = Field(description="what happens to real scans, in a sentence or two")
    worst: float = Field(description="strength that costs most accuracy; of equals, the greatest")
    strengths: tuple[Strength, ...]

    @property
    def at_worst(self) -> Strength:
        """The metrics at the strength that costs most accuracy."""
        return next(one for one in self.strengths if one.strength == self.worst)

    @property
    def costs_accuracy(self) -> bool:
        """Whether any strength costs accuracy, beyond chance."""
        return any(is_significant(one.accuracy_loss) for one in self.strengths)

    @property
    def most_accepted_errors(self) -> Strength | None:
        """The strength with most accepted errors; None if none has significantly more than clean slices."""
        certain = [one for one in self.strengths if is_significant(one.accepted_errors_increase)]
        return max(
            certain, key=lambda one: (one.accepted_errors and one.accepted_errors.value) or 0.0, default=None
        )


class Robustness(Document):
    """How corruptions change a model's predictions and verdicts."""

    file: ClassVar[str] = "robustness.json"
    command: ClassVar[str] = "robustness"

    title: Text
    run: RobustnessRun
    slices: int = Field(description="that were corrupted")
    groups: int
    test_slices: int = Field(description="slices of the test subset, of which they were drawn")
    excluded: dict[str, int] = Field(description="slices that could not be used, by reason")
    has_verdicts: bool = Field(description="whether the model gives verdicts")
    clean: RobustnessMetrics = Field(description="of the slices as they are")
    corruptions: dict[str, Corruption] = Field(description="corruptions by name")

    @property
    def worst(self) -> Corruption:
        """The corruption that costs most accuracy, at its worst strength."""
        return max(self.corruptions.values(), key=lambda one: one.at_worst.accuracy_loss.value or 0.0)

    @property
    def harmless(self) -> list[Corruption]:
        """Corruptions of which no strength costs accuracy beyond chance."""
        return [one for one in self.corruptions.values() if not one.costs_accuracy]

    @property
    def detected(self) -> list[Corruption]:
        """Corruptions that cost accuracy, but do not make the verdicts accept more errors."""
        return [
            one
            for one in self.corruptions.values()
            if one.costs_accuracy and one.most_accepted_errors is None
        ]

    @property
    def undetected(self) -> list[Corruption]:
        """Corruptions under which the verdicts accept more errors."""
        return [one for one in self.corruptions.values() if one.most_accepted_errors]


def worst_strength(strengths: tuple[Strength, ...]) -> float:
    """Return the strength that costs most accuracy; of equals, the last."""
    return max(reversed(strengths), key=lambda one: one.accuracy_loss.value or 0.0).strength


def is_significant(difference: Estimate | None) -> bool:
    """Whether the interval of a difference lies above 0."""
    return difference is not None and difference.low is not None and difference.low > 0
