"""The folder that training writes, and its metadata. Reading them does not need torch."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gliascope import __version__
from gliascope.errors import RunError, first_error
from gliascope.recipes.schema import Recipe
from gliascope.runtime.files import write_text


class RunResults(BaseModel):
    """Results that are added to run.json when training ends.

    Parameters
    ----------
    chosen_row
        Row of metrics.csv, from 0, whose weights were exported. None for an ensemble, which has no epochs.
    seconds
        Duration of the last session; of an ensemble, the sum over its members.
    parameters
        Number of parameters; of an ensemble, the sum over its members.
    """

    chosen_row: int | None
    seconds: float
    parameters: int


class EnsembleMember(BaseModel):
    """One run of an ensemble.

    Parameters
    ----------
    recipe, seed
        Name and seed of the recipe.
    selects_on_validation
        Whether an epoch or setting of this run was selected on validation slices.
    split
        Hash of the split that the run was trained on.
    model_sha256
        Hash of the exported ONNX model.
    """

    recipe: str
    seed: int
    selects_on_validation: bool
    split: str
    model_sha256: str


class EnsembleRecord(BaseModel):
    """How an ensemble averages its members.

    Parameters
    ----------
    average
        "logits" or "probabilities".
    members
        The members by number, from "1".
    """

    average: str
    members: dict[str, EnsembleMember]


class GitState(BaseModel):
    """Git state of the working folder at the start: the last commit, and whether files differ from it."""

    commit: str
    dirty: bool


class EpochMetrics(BaseModel):
    """A row of metrics.csv. Training loss and accuracy are those of augmented slices, with all penalties."""

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


class TrainingRecord(BaseModel):
    """The inputs of a run and the machine that it was trained on."""

    model_config = ConfigDict(extra="forbid")

    version: str
    classes: tuple[str, ...]
    protocol: str
    split_seed: int
    split: str  # hash of the label and subset of every slice that trained or validated
    store: str
    slices: dict[str, int]  # by subset
    data: dict[str, str] = {}  # by subset: hash of the content and label of its slices
    started: str | None = None  # ISO 8601
    git: GitState | None = None  # None outside of a repository
    weights_licence: str | None
    environment: dict[str, str | int]


class RunRecord(TrainingRecord):
    """Content of run.json: inputs, machine, and results once training has ended."""

    results: RunResults | None = None
    ensemble: EnsembleRecord | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder: recipe.yaml, run.json, metrics.csv, checkpoints, tensorboard/, and model/ once finished.

    The folder of an ensemble has no metrics and no checkpoints, but members/ with each member's recipe.yaml
    and run.json.
    """

    folder: Path
    recipe: Recipe
    record: RunRecord

    @property
    def model(self) -> Path:
        """Folder of the exported model: a Bundle without evaluation."""
        return self.folder / "model"

    @property
    def selects_on_validation(self) -> bool:
        """Whether an epoch or setting of the run or of a member was selected on validation slices."""
        members = self.record.ensemble.members.values() if self.record.ensemble else ()
        return self.recipe.selects_on_validation or any(member.selects_on_validation for member in members)

    def input_path(self, name: str, path: Path | None) -> Path:
        """Return a file that the run was trained from. Raises RunError if it does not exist.

        Parameters
        ----------
        name
            File name, such as catalog.parquet, in the folder that holds the run folder.
        path
            Used instead, if it is given.
        """
        path = path or self.folder.parent / name
        if not path.exists():
            option = f"--{name.removesuffix('.parquet')}"
            raise RunError(f"{path}: not found; name by {option} what {self.folder} was trained on")
        return path

    def check_inputs(self, recipe: Recipe, split: str) -> None:
        """Raise RunError unless the run has this recipe and this hash of training and validation slices."""
        if self.recipe != recipe or self.record.split != split:
            raise RunError(
                f"{self.folder}: holds a run of another recipe, split or data; "
                "choose another folder or remove it"
            )

    def check_finished(self) -> None:
        """Raise RunError unless training has ended and the model is exported."""
        if self.record.results is None or not self.model.exists():
            raise RunError(
                f"{self.folder}: training has not finished; run the same `train` command again to go on"
            )

    def history(self) -> list[EpochMetrics]:
        """Return the rows of metrics.csv; an ensemble has none."""
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
        """Open a run folder. Raises RunError if it is not one, or is damaged."""
        try:
            recipe = Recipe.model_validate(
                yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
            )
            record = RunRecord.model_validate_json((folder / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{folder}: not a run; make one with `gliascope train`") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            reason = first_error(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            if (made_by := _made_by(folder)) not in (None, __version__):
                raise RunError(
                    f"{folder}: made by gliascope {made_by}, which this one, {__version__}, does not read "
                    f"({reason}); use that version, or train again"
                ) from None
            raise RunError(f"{folder}: damaged run ({reason}); train again") from None
        return cls(folder, recipe, record)


def _made_by(folder: Path) -> str | None:
    """Return the version of Gliascope that wrote run.json; None if it cannot be read."""
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
