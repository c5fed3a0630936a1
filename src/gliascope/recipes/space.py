"""The search space of `tune`: keys of a recipe, each with a range or choices, read from YAML."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from gliascope.errors import RecipeError
from gliascope.recipes.load import load_recipe
from gliascope.recipes.ranges import describe_errors
from gliascope.recipes.schema import Recipe

# Keys that change the output of frozen layers, so that cached activations cannot be reused.
_BEFORE_THE_CUT = ("preprocessing", "augmentation", "backbone", "weights", "seed")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Part):
    """Numbers from `low` to `high`, both included. They are whole if low, high and step are."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="drawn uniformly in the logarithm")
    step: int | float | None = Field(
        default=None, gt=0, description="distance of the values, from low; null: any value"
    )

    @model_validator(mode="after")
    def _holds_something(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"expected low below high but got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        return self

    @property
    def is_integer(self) -> bool:
        """Whether all values are whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    @property
    def boundary_values(self) -> tuple[Any, ...]:
        """Values to validate: both ends, and a fraction between them unless all values are whole."""
        between = () if self.is_integer else (self.low + (self.step or (self.high - self.low) / math.pi),)
        return self.low, *between, self.high

    def contains(self, value: Any) -> bool:
        """Return whether `value` lies in the range, and on a step if there is one."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            return False
        steps = (value - self.low) / (self.step or 1)
        return abs(steps - round(steps)) < 1e-9 if self.is_integer or self.step else True


class Choices(_Part):
    """A list of values of any kind."""

    choices: tuple[Any, ...] = Field(min_length=2)

    @property
    def boundary_values(self) -> tuple[Any, ...]:
        """Values to validate: all choices."""
        return self.choices

    def contains(self, value: Any) -> bool:
        """Return whether `value` is one of the choices."""
        return to_yaml(value) in map(to_yaml, self.choices)


def _kind(field: Any) -> str:
    """Return the kind of a field, so that pydantic reports errors of that kind only."""
    return (
        "choices"
        if isinstance(field, Choices) or (isinstance(field, dict) and "choices" in field)
        else "range"
    )


Values = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)]


TrialValue = bool | int | float | str
"""Value of a key in one trial, as Optuna stores it: choices as YAML text."""


class SearchSpace(_Part):
    """The keys that `tune` varies, and the validation figure by which trials are compared."""

    objective: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    fields: dict[str, Values] = Field(min_length=1)

    @property
    def remakes_activations(self) -> bool:
        """Whether nearly every trial would need its own cached activations."""
        return any(
            isinstance(field, Range) and (key.startswith(_BEFORE_THE_CUT) or key.endswith(".freeze"))
            for key, field in self.fields.items()
        )

    def check(self, name: str, overrides: Sequence[str]) -> None:
        """Raise RecipeError if the recipe does not accept the ends of a range, or a choice.

        Parameters
        ----------
        name
            The recipe, as `load_recipe` takes it.
        overrides
            Changes to the recipe that hold for all trials, as KEY=VALUE.
        """
        for key, field in self.fields.items():
            for value in field.boundary_values:
                load_recipe(name, [*overrides, override_text(key, value)])

    def values_of(self, recipe: Recipe) -> dict[str, TrialValue] | None:
        """Return the recipe's own values by key, choices as YAML text; None if one is outside the space."""
        content = recipe.model_dump(mode="json")
        values = {key: _at(content, key) for key in self.fields}
        if not all(self.fields[key].contains(value) for key, value in values.items()):
            return None
        return {
            key: to_yaml(value) if isinstance(self.fields[key], Choices) else value
            for key, value in values.items()
        }


def load_search_space(path: Path) -> SearchSpace:
    """Read a search space from YAML. Raises RecipeError if the file cannot be read or is invalid."""
    try:
        return SearchSpace.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        raise RecipeError(
            f"{path}: {describe_errors(error, SearchSpace)}; expected like docs/tune.md"
        ) from None


def override_text(key: str, value: Any) -> str:
    """Return KEY=VALUE, as `--set` takes it."""
    return f"{key}={to_yaml(value)}"


def to_yaml(value: Any) -> str:
    """Return a value as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content[int(part)] if isinstance(content, list) else content[part]
    return content
