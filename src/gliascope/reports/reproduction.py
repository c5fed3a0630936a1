"""Published systems, trained again, as systems.json holds them."""

from typing import ClassVar, Literal

from pydantic import Field

from gliascope.evaluation.estimate import Estimate, Value
from gliascope.reports.document import Document, Text
from gliascope.reports.report import Leak

Quantity = Literal["accuracy", "macro_auroc", "train_accuracy", "val_accuracy"]


class PublishedNumber(Value):
    """A number that a system said of itself, and ours beside it."""

    what: str
    of: Quantity
    value: float = Field(description="theirs")
    more: bool = Field(description="whether it is a lower bound")
    note: str
    ours: Estimate = Field(description="without an interval where it is a number of training")


class ProtocolNumbers(Value):
    """What our training gives under one protocol."""

    n: int
    classes: tuple[str, ...]
    leaky: bool
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate


class TrainedRecipe(Value):
    """A recipe that was trained."""

    recipe: str
    folder: Text
    sources: tuple[Text, ...]
    quickly: int | None = Field(description="slices of each class in a trial; null for the whole of it")
    published: tuple[PublishedNumber, ...]
    protocols: dict[str, ProtocolNumbers]
    leak: Leak | None
    seconds: float
    device: str


class ExcludedRecipe(Value):
    """A recipe that could not be trained."""

    recipe: str
    folder: Text
    excluded: str = Field(description="why")


class System(Value):
    """A published system and its recipes."""

    title: str
    recipes: tuple[TrainedRecipe | ExcludedRecipe, ...]


class Reproduction(Document):
    """What published systems give when they are trained again."""

    file: ClassVar[str] = "systems.json"
    command: ClassVar[str] = "reproduce"

    systems: tuple[System, ...]
    comparisons: tuple[Text, ...] = Field(description="folders beside it that `compare` wrote")

    @property
    def all(self) -> list[TrainedRecipe | ExcludedRecipe]:
        """Recipes of all systems."""
        return [recipe for system in self.systems for recipe in system.recipes]

    @property
    def done(self) -> list[TrainedRecipe]:
        """Recipes that were trained."""
        return [recipe for recipe in self.all if isinstance(recipe, TrainedRecipe)]

    @property
    def trial(self) -> bool:
        """Whether any was trained on a sample only."""
        return any(recipe.quickly for recipe in self.done)
