"""The Run: what training leaves behind, readable without torch."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gliascope import __version__
from gliascope.errors import RunError, explain
from gliascope.recipes.schema import Recipe
from gliascope.runtime.files import write_text


class RunResults(BaseModel):
    """What a finished run adds. `chosen`: row of metrics.csv, from 0; `seconds`: of the last session.

    An ensemble has no epochs of its own; its seconds and parameters are the sum of its members'.
    """

    chosen: int | None
    seconds: float
    parameters: int


class EnsembleMember(BaseModel):
    """One run of an ensemble: its recipe's name and seed, the split it was trained on, and its model.

    chooses: whether validation slices chose anything of it.
    """

    recipe: str
    seed: int
    chooses: bool
    split: str
    model_sha256: str


class EnsembleRecord(BaseModel):
    """Of what the members' answers are averaged, and the members by number, from 1."""

    average: str
    members: dict[str, EnsembleMember]


class GitState(BaseModel):
    """State of the folder that a run was started in: its last commit, and whether files differ from it."""

    commit: str
    dirty: bool


class EpochMetrics(BaseModel):
    """A row of metrics.csv. Training figures are over augmented views, with what the loss adds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: int
    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    test_accuracy: float | None = Field(
        default=None, description="null unless training watched the test slices"
    )
    seconds: float


class Training(BaseModel):
    """What a run was made from, and on what."""

    model_config = ConfigDict(extra="forbid")

    version: str
    classes: tuple[str, ...]
    protocol: str
    split_seed: int
    split: str  # hash of the label and subset of every slice that trained or validated
    store: str
    slices: dict[str, int]  # by subset
    data: dict[str, str] = {}  # by subset: hash of the content and label of its slices
    started: str | None = None  # date and time
    git: GitState | None = None  # None where that folder is in no repository
    weights_licence: str | None
    environment: dict[str, str | int]


class RunRecord(Training):
    """run.json: what the run was made from, on what, and what came of it."""

    results: RunResults | None = None
    ensemble: EnsembleRecord | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder: recipe.yaml, run.json, metrics.csv, checkpoints, tensorboard/; model/ once finished.

    That of an ensemble has neither metrics nor checkpoints, but members/: recipe.yaml and run.json of each.
    """

    folder: Path
    recipe: Recipe
    record: RunRecord

    @property
    def model(self) -> Path:
        """The exported model: a Bundle that no evaluation has been added to yet."""
        return self.folder / "model"

    @property
    def is_validation_chosen(self) -> bool:
        """Whether validation slices chose anything of it, or of a member."""
        members = self.record.ensemble.members.values() if self.record.ensemble else ()
        return self.recipe.chooses or any(member.chooses for member in members)

    def made_from(self, name: str, given: Path | None) -> Path:
        """What the run was made from: `given`, else the file of this name beside it. RunError without it."""
        path = given or self.folder.parent / name
        if not path.exists():
            option = f"--{name.removesuffix('.parquet')}"
            raise RunError(f"{path}: not found; name by {option} what {self.folder} was trained on")
        return path

    def check_inputs(self, recipe: Recipe, split: str) -> None:
        """Raise RunError unless the run is of this recipe and of the split with this `training` hash."""
        if self.recipe != recipe or self.record.split != split:
            raise RunError(
                f"{self.folder}: holds a run of another recipe, split or data; "
                "choose another folder or remove it"
            )

    def check_finished(self) -> None:
        """Raise RunError unless training has ended and the model is exported."""
        if self.record.results is None or not self.model.exists():
            raise RunError(
                f"{self.folder}: training has not finished; the command that began it goes on with it"
            )

    def history(self) -> list[EpochMetrics]:
        """Rows of metrics.csv; an ensemble has none."""
        if self.record.ensemble:
            return []
        with (self.folder / "metrics.csv").open(newline="", encoding="utf-8") as stream:
            return [EpochMetrics.model_validate(row) for row in csv.DictReader(stream)]

    def save(self) -> None:
        """Write recipe.yaml and run.json."""
        write_text(
            self.folder / "recipe.yaml", yaml.safe_dump(self.recipe.model_dump(mode="json"), sort_keys=False)
        )
        write_text(self.folder / "run.json", self.record.model_dump_json(indent=2))

    @classmethod
    def load(cls, folder: Path) -> "Run":
        """Open a run folder. Raises RunError where it is none, or is damaged."""
        try:
            recipe = Recipe.model_validate(
                yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
            )
            record = RunRecord.model_validate_json((folder / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{folder}: not a run; make one with `gliascope train`") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            reason = explain(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            if (made_by := _made_by(folder)) not in (None, __version__):
                raise RunError(
                    f"{folder}: made by gliascope {made_by}, which this one, {__version__}, does not read "
                    f"({reason}); use that version, or train again"
                ) from None
            raise RunError(f"{folder}: damaged run ({reason}); train again") from None
        return cls(folder, recipe, record)


def _made_by(folder: Path) -> str | None:
    """Version that wrote a run's record; None where even that cannot be told."""
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
