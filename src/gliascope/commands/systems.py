"""The table of what `reproduce` trains, and what was published of it."""

from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gliascope.errors import LayoutError
from gliascope.reports.reproduction import Quantity


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedResult(_Part):
    """A number that a system said of itself, and which of ours stands beside it."""

    name: str
    quantity: Quantity
    value: float
    lower_bound: bool = Field(default=False, description="the value is a lower bound")
    protocol: str | None = Field(default=None, description="of a test number; None: the first")
    epoch: Literal["first", "chosen", "last"] = Field(default="chosen", description="of a training number")
    note: str = ""


class RecipeEntry(_Part):
    """One recipe on the slices it is judged by."""

    recipe: str
    sources: tuple[tuple[str, ...], ...]
    protocols: tuple[str, ...] = Field(min_length=1)
    validation: float = 0.1
    labels: dict[str, str] = {}
    published: tuple[PublishedResult, ...] = ()

    def folders(self, data: Path) -> list[Path]:
        """The sources below `data`. Raises LayoutError where one is missing, naming what it may be called."""
        found = []
        for names in self.sources:
            folder = next((data / name for name in names if (data / name).is_dir()), None)
            if folder is None:
                raise LayoutError(
                    f"{data}: holds no folder {' or '.join(names)}; fetch it, or leave {self.recipe} out"
                )
            found.append(folder)
        return found


class System(_Part):
    """A published system, or the house's own."""

    title: str
    recipes: tuple[RecipeEntry, ...]


def load_systems() -> list[System]:
    """The table, in order."""
    text = resources.files("gliascope.commands").joinpath("systems.yaml").read_text(encoding="utf-8")
    return [System.model_validate(entry) for entry in yaml.safe_load(text)["systems"]]
