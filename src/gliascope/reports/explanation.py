"""The document explain.json: saliency maps compared with outlined lesions."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.localisation import Localisation
from gliascope.reports.document import Document, Text

ALPHA = 0.05
UNCHANGED_CORRELATION = 0.5
"""Correlation with the map of random weights from which on a map is called a defect."""


class ExplainedRun(FrozenModel):
    """The run whose saliency maps are tested."""

    recipe: str
    folder: Text
    classes: tuple[str, ...]


class HitRates(FrozenModel):
    """The pointing game on a subset of the slices."""

    n: int
    hits: dict[str, float] = Field(description="share of slices whose lesion is hit, by method")


class Perturbation(FrozenModel):
    """Insertion and deletion curves, averaged over slices."""

    n: int
    insertion: float = Field(description="mean area under the insertion curve; more is better")
    deletion: float = Field(description="mean area under the deletion curve; less is better")
    insertion_curve: tuple[float, ...]
    deletion_curve: tuple[float, ...]


class Randomisation(FrozenModel):
    """Correlation of one method's maps with those of a network of which ever more weights are random.

    References
    ----------
    Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
    """

    n: int
    seeds: int
    steps: dict[str, float] = Field(description="mean Spearman correlation, by what is random from there on")


class LesionSet(FrozenModel):
    """One set of slices with outlined lesions."""

    n: int
    groups: int = Field(description="patients, as far as they are known")
    area: float = Field(description="mean share of the slice that is lesion")
    accuracy: Estimate = Field(description="share of slices on which the model is right")
    excluded: dict[str, int] = Field(description="excluded slices, by reason")
    figures: dict[str, Localisation] = Field(description="by method, the baseline last")
    subsets: dict[str, HitRates] = Field(description="by class, and by whether the model is right")
    curves: dict[str, Perturbation] = Field(description="by method, the baseline, and a random order")


class Explanation(Document):
    """How well saliency maps localise lesions."""

    file: ClassVar[str] = "explain.json"
    command: ClassVar[str] = "explain"

    title: Text
    run: ExplainedRun
    methods: dict[str, str] = Field(description="a description of each, the main method first")
    baseline: str
    training_excluded: bool = Field(description="whether slices that the run was trained on were excluded")
    sets: dict[str, LesionSet]
    randomised: dict[str, Randomisation] = Field(description="by method")
    unchanged: tuple[str, ...] = Field(
        description="methods whose map hardly changes when all weights are random: a defect"
    )

    @property
    def main_method(self) -> str:
        """The method that the page describes in full."""
        return next(iter(self.methods))

    def beats_baseline(self, name: str) -> bool:
        """Whether the main method hits more lesions of set `name` than the baseline, beyond chance."""
        against = self.sets[name].figures[self.main_method].against_baseline
        if against is None:
            return False
        return against.method_only > against.baseline_only and max(against.p, against.p_groups) < ALPHA


def unchanged_methods(randomised: Mapping[str, Randomisation]) -> tuple[str, ...]:
    """Return the methods whose map hardly changes when all weights are random."""
    return tuple(
        name for name, row in randomised.items() if [*row.steps.values()][-1] >= UNCHANGED_CORRELATION
    )
