"""The document systems.json: published systems, trained again."""

from typing import ClassVar, Literal

from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.reports.document import Document, Text
from gliascope.reports.report import Leak

Quantity = Literal["accuracy", "macro_auroc", "train_accuracy", "val_accuracy"]


class PublishedNumber(FrozenModel):
    """A number that a system published of itself, and ours."""

    name: str
    quantity: Quantity
    value: float = Field(description="theirs")
    lower_bound: bool = Field(description="whether it is a lower bound")
    note: str
    ours: Estimate = Field(description="without an interval where it is a number of training")


class ProtocolNumbers(FrozenModel):
    """Metrics of our training under one protocol."""

    n: int
    classes: tuple[str, ...]
    leaky: bool
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate


class TrainedRecipe(FrozenModel):
    """A recipe that was trained."""

    recipe: str
    folder: Text
    sources: tuple[Text, ...]
    slices_per_class: int | None = Field(
        description="slices of each class in a trial; null for the whole of it"
    )
    published: tuple[PublishedNumber, ...]
    protocols: dict[str, ProtocolNumbers]
    leak: Leak | None
    seconds: float
    device: str


class ExcludedRecipe(FrozenModel):
    """A recipe that could not be trained."""

    recipe: str
    folder: Text
    reason: str = Field(description="why")


class System(FrozenModel):
    """A published system and its recipes."""

    title: str
    recipes: tuple[TrainedRecipe | ExcludedRecipe, ...]


class Reproduction(Document):
    """Results of published systems that were trained again."""

    file: ClassVar[str] = "systems.json"
    command: ClassVar[str] = "reproduce"

    systems: tuple[System, ...]
    comparisons: tuple[Text, ...] = Field(description="folders beside it that `compare` wrote")

    @property
    def recipes(self) -> list[TrainedRecipe | ExcludedRecipe]:
        """The recipes of all systems."""
        return [recipe for system in self.systems for recipe in system.recipes]

    @property
    def trained(self) -> list[TrainedRecipe]:
        """The recipes that were trained."""
        return [recipe for recipe in self.recipes if isinstance(recipe, TrainedRecipe)]

    @property
    def is_trial(self) -> bool:
        """Whether any recipe was trained on a sample only."""
        return any(recipe.slices_per_class for recipe in self.trained)
