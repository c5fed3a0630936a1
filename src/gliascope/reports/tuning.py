"""The document tune.json: a search for a better recipe."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from gliascope.evaluation.estimate import FiniteOrNone, FrozenModel
from gliascope.recipes.space import TrialValue
from gliascope.reports.document import Document, Text


class Axis(FrozenModel):
    """A field of the recipe that the search varies: a range, or choices."""

    key: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[str, ...] = Field(default=(), description="as text; empty for a range")

    def position(self, value: TrialValue) -> float:
        """Return where a value lies on the axis, from 0 to 1."""
        if self.choices:
            return self.choices.index(str(value)) / (len(self.choices) - 1)
        assert self.low is not None and self.high is not None  # noqa: S101 (a range has both)
        low, high, at = (math.log(n) if self.log else n for n in (self.low, self.high, float(value)))
        return (at - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Positions on the axis that are labelled, with their labels."""
        if self.choices:
            return [(self.position(choice), choice) for choice in self.choices]
        return [(0.0, f"{self.low:.4g}"), (1.0, f"{self.high:.4g}")]


class Trial(FrozenModel):
    """One trial of the search."""

    number: int
    value: FiniteOrNone = Field(description="of the objective; of a pruned trial, what it had come to")
    pruned: bool
    epochs: int
    seconds: float
    values: dict[str, TrialValue] = Field(description="by field of the recipe")
    ended_by: str = Field(default="", description="what ended it early")


class Tuning(Document):
    """All trials of a search."""

    file: ClassVar[str] = "tune.json"
    command: ClassVar[str] = "tune"

    recipe: str
    sources: tuple[Text, ...]
    protocol: str
    folds: int = Field(description="trainings of each trial")
    slices: int = Field(description="validation slices that choose")
    groups: int
    objective: Literal["val_accuracy", "val_loss"]
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...] = Field(description="complete and pruned ones, in order")
    best: int = Field(description="number of a trial")
    baseline: int | None = Field(description="number of the trial of the recipe as it stands")
    importances: dict[str, float] = Field(description="share of each field; empty for few trials")
    tuned: Text = Field(description="where the best recipe is")

    @property
    def ranked(self) -> list[Trial]:
        """Complete trials, the best first, then pruned ones in order."""
        sign = -1 if self.objective == "val_accuracy" else 1
        done = [trial for trial in self.trials if not trial.pruned]
        return [
            *sorted(done, key=lambda trial: sign * (trial.value or 0.0)),
            *(trial for trial in self.trials if trial.pruned),
        ]

    def trial(self, number: int | None) -> Trial | None:
        """Return the trial with this number, or None."""
        return next((trial for trial in self.trials if trial.number == number), None)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the best trial's accuracy: of a binomial share over groups; None for a loss."""
        best = self.ranked[0].value
        if self.objective != "val_accuracy" or best is None:
            return None
        return math.sqrt(best * (1 - best) / self.groups)
