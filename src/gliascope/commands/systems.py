"""The table of published systems, systems.yaml: recipes, data and published numbers."""

from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gliascope.errors import LayoutError
from gliascope.reports.reproduction import Quantity


class _FrozenModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedResult(_FrozenModel):
    """A number that the authors of a system published, and which of our numbers is compared with it."""

    name: str
    quantity: Quantity
    value: float
    lower_bound: bool = Field(default=False, description="the value is a lower bound")
    protocol: str | None = Field(default=None, description="protocol of a test figure; None for the first")
    epoch: Literal["first", "chosen", "last"] = Field(
        default="chosen", description="epoch of a training figure"
    )
    note: str = ""


class RecipeEntry(_FrozenModel):
    """One recipe with the slices that it is trained and tested on."""

    recipe: str
    sources: tuple[tuple[str, ...], ...]
    protocols: tuple[str, ...] = Field(min_length=1)
    validation: float = 0.1
    labels: dict[str, str] = {}
    published: tuple[PublishedResult, ...] = ()

    def folders(self, data: Path) -> list[Path]:
        """Return the source folders in `data`. Raises LayoutError if one of them is missing."""
        folders = []
        for names in self.sources:
            folder = next((data / name for name in names if (data / name).is_dir()), None)
            if folder is None:
                raise LayoutError(
                    f"{data}: holds no folder {' or '.join(names)}; fetch the set, or leave {self.recipe} "
                    "out of --recipes"
                )
            folders.append(folder)
        return folders


class System(_FrozenModel):
    """A published system, or Gliascope itself, with its recipes."""

    title: str
    recipes: tuple[RecipeEntry, ...]


def load_systems() -> list[System]:
    """Read systems.yaml."""
    text = resources.files("gliascope.commands").joinpath("systems.yaml").read_text(encoding="utf-8")
    return [System.model_validate(entry) for entry in yaml.safe_load(text)["systems"]]
