"""The search, mostly over a training that is a formula; one of them trains."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from filelock import FileLock
from html_page import check_page
from tiny import TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.tune import without_test_slices
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import DivergedError, SplitError
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.run import EpochMetrics
from gliascope.runtime.folder_lock import folder_lock
from gliascope.splits.split import load_splits, split, write_splits
from gliascope.splits.validation import divide_validation

SETS = [argument for override in (*TINY, "stages.0.epochs=4") for argument in ("--set", override)]
SPACE = """
objective: val_accuracy
fields:
  stages.0.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
  head.pooling: {choices: [average, max]}
"""


@pytest.fixture
def place(official_source: Path, tmp_path: Path) -> Path:
    """A catalogue, a split without and with rounds, and a space."""
    catalog = scan([official_source])
    catalog.write(tmp_path / "catalog.parquet")
    write_splits(split(catalog, ["official"], repeats=2), tmp_path / "several.parquet")
    write_splits(split(catalog, ["official"]), tmp_path / "split.parquet")
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


def tune(place: Path, *options: object, split: str = "split.parquet") -> tuple[int, str, str]:
    command = ["tune", place / "catalog.parquet", place / split, "--space", place / "space.yaml"]
    done = CliRunner().invoke(
        app, [*map(str, command), "--out", str(place / "out"), *SETS, *map(str, options)]
    )
    if done.exit_code == 1 and done.exception:
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def found(place: Path) -> dict:
    return json.loads((place / "out" / "tune.json").read_text())


def study(place: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{place / 'out' / 'study.db'}")


class Formula:
    """Stands for a training: best at a rate of 0.003 with maximum pooling."""

    def __init__(self) -> None:
        self.calls: list[tuple[Recipe, object, int]] = []
        self.raises: dict[int, BaseException] = {}  # by call

    def accuracy(self, recipe: Recipe) -> float:
        from math import log10

        return 0.9 - 0.1 * abs(log10(recipe.stages[0].lr / 0.003)) + 0.05 * (recipe.head.pooling == "max")

    def __call__(
        self, recipe: Recipe, split, store, folder: Path, *, on_epoch: Callable, cache: bool
    ) -> Sequence[EpochMetrics]:
        self.calls.append((recipe, split, len(store.hashes)))
        assert not (split.frame["subset"] == "test").any()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.safetensors").write_text("")
        history: list[EpochMetrics] = []
        for epoch in range(recipe.stages[0].epochs):
            if epoch == 2 and len(self.calls) in self.raises:
                raise self.raises[len(self.calls)]
            value = self.accuracy(recipe) - 0.1 / (1 + epoch)
            history.append(
                EpochMetrics(
                    stage=0,
                    epoch=epoch,
                    lr=1.0,
                    train_loss=1.0,
                    train_accuracy=0.5,
                    val_loss=1 - value,
                    val_accuracy=value,
                    seconds=1.0,
                )
            )
            on_epoch(history)
        return history


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> Formula:
    made = Formula()
    monkeypatch.setattr("gliascope.training.trial.train_and_validate", made)
    return made


def test_the_search_finds_what_is_better_and_writes_it_as_a_recipe(place: Path, formula: Formula) -> None:
    code, printed, errors = tune(place, "--trials", 14)
    assert code == 0, errors
    data = found(place)
    assert len(data["trials"]) == 14
    assert data["baseline"] == 0
    assert data["trials"][0]["values"] == {"stages.0.lr": 0.002, "head.pooling": "average"}
    best = next(trial for trial in data["trials"] if trial["number"] == data["best"])
    assert best["value"] == max(trial["value"] for trial in data["trials"] if not trial["pruned"])
    assert best["value"] > data["trials"][0]["value"]
    tuned = load_recipe(str(place / "out" / "best.yaml"))
    assert tuned.name == "quick-tuned"
    assert tuned.tuned
    assert (
        "The other validation groups chose nothing"
        in check_page((place / "out" / "tune.html").read_text()).text
    )
    assert tuned.head.pooling == best["values"]["head.pooling"] == "max"
    assert tuned.stages[0].lr == best["values"]["stages.0.lr"]
    assert tuned.preprocessing.size == 64
    assert set(data["importances"]) == {"stages.0.lr", "head.pooling"}
    assert "quick-tuned" not in printed
    assert str(place / "out" / "best.yaml") in printed
    page = check_page((place / "out" / "tune.html").read_text())
    assert "The test subset was never loaded." in page.text
    assert "One standard error of its accuracy is" in page.text
    assert page.text.count("as it stands") >= 2
    assert not list((place / "out" / "trials").rglob("*.safetensors"))


def test_trials_that_do_badly_are_pruned(place: Path, formula: Formula) -> None:
    assert tune(place, "--trials", 16)[0] == 0
    trials = found(place)["trials"]
    pruned = [trial for trial in trials if trial["pruned"]]
    assert pruned
    assert all(trial["epochs"] < 4 for trial in pruned)
    assert all(trial["epochs"] == 4 for trial in trials if not trial["pruned"])


def test_a_study_goes_on_where_it_stopped(place: Path, formula: Formula) -> None:
    assert tune(place, "--trials", 3)[0] == 0
    assert len(formula.calls) == 3
    assert tune(place, "--trials", 5)[0] == 0
    assert len(formula.calls) == 5
    rates = [recipe.stages[0].lr for recipe, _, _ in formula.calls]
    assert len(set(rates)) == 5
    assert tune(place, "--trials", 5)[0] == 0
    assert len(formula.calls) == 5


def test_an_interrupted_trial_is_taken_up_again(place: Path, formula: Formula) -> None:
    formula.raises[2] = KeyboardInterrupt()
    code, _, errors = tune(place, "--trials", 3)
    assert code == 130
    assert "interrupted" in errors
    assert len(list((place / "out" / "trials").rglob("*.safetensors"))) == 1
    assert tune(place, "--trials", 3)[0] == 0
    assert formula.calls[2][0] == formula.calls[1][0]
    assert len(found(place)["trials"]) == 3
    assert not list((place / "out" / "trials").rglob("*.safetensors"))


def test_a_trial_that_diverges_is_a_bad_one_and_no_end(place: Path, formula: Formula) -> None:
    formula.raises[2] = DivergedError("the loss is nan in training")
    assert tune(place, "--trials", 3)[0] == 0
    trial = found(place)["trials"][1]
    assert trial["pruned"]
    assert trial["ended_by"] == "the loss is nan in training"
    assert (
        "Trial 1 ended early: the loss is nan" in check_page((place / "out" / "tune.html").read_text()).text
    )


def test_where_every_trial_diverges_the_reason_is_told(place: Path, formula: Formula) -> None:
    formula.raises = {number: DivergedError("the loss is nan") for number in range(1, 9)}
    code, _, errors = tune(place, "--trials", 2)
    assert code == 2
    assert "no trial came to its end; the first: the loss is nan" in errors


def test_a_trial_is_judged_by_the_mean_over_several_validation_parts(place: Path, formula: Formula) -> None:
    assert tune(place, "--trials", 1, split="several.parquet")[0] == 0
    assert len(formula.calls) == 2
    data = found(place)
    assert data["folds"] == 2
    assert data["trials"][0]["epochs"] == 8
    assert data["trials"][0]["value"] == pytest.approx(formula.accuracy(formula.calls[0][0]) - 0.025)


def test_a_loss_is_made_small(place: Path, formula: Formula) -> None:
    (place / "space.yaml").write_text(SPACE.replace("val_accuracy", "val_loss"))
    assert tune(place, "--trials", 6)[0] == 0
    data = found(place)
    values = {trial["number"]: trial["value"] for trial in data["trials"] if not trial["pruned"]}
    assert values[data["best"]] == min(values.values())


def test_equal_trials_train_once(place: Path, formula: Formula) -> None:
    (place / "space.yaml").write_text("fields: {head.pooling: {choices: [average, max]}}")
    assert tune(place, "--trials", 6)[0] == 0
    assert len(formula.calls) == 2


def test_a_recipe_outside_the_space_is_no_trial(place: Path, formula: Formula) -> None:
    (place / "space.yaml").write_text("fields: {stages.0.lr: {low: 1.0e-2, high: 1.0e-1}}")
    code, _, errors = tune(place, "--trials", 1)
    assert code == 0
    assert "lies outside the space" in errors
    assert found(place)["baseline"] is None


def test_another_study_is_not_mixed_in(place: Path, formula: Formula) -> None:
    assert tune(place, "--trials", 1)[0] == 0
    for options in (("--set", "seed=1"), ()):
        if not options:
            (place / "space.yaml").write_text(SPACE.replace("1.0e-1", "2.0e-1"))
        code, _, errors = tune(place, "--trials", 2, *options)
        assert code == 2
        assert "holds a study of another recipe, space or split" in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "watch_test=true"), "add --set watch_test=false"),
        (("--set", "stages=[]"), "stages"),
        (("--protocol", "grouped"), "has no protocol 'grouped'"),
    ],
)
def test_what_cannot_be_tuned_is_one_line_and_exit_code_2(
    place: Path, formula: Formula, options: tuple[str, ...], message: str
) -> None:
    code, _, errors = tune(place, *options)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (place / "out").exists()


def test_rounds_that_test_each_others_training_are_refused(official_source: Path) -> None:
    catalog = scan([official_source])
    folds = split(catalog, ["folds"])
    with pytest.raises(SplitError, match="'folds' tests in one fold slices that train another"):
        without_test_slices(folds)
    (alone,) = without_test_slices(folds[:1])
    assert set(alone.frame["subset"]) == {"train", "val"}
    several = split(catalog, ["official"], repeats=3)
    assert len(without_test_slices(several)) == 3
    assert len(without_test_slices([several[0], several[0]])) == 1


def test_it_trains_without_the_test_slices_and_a_trial_goes_on_at_its_epoch(
    place: Path, official_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their files are gone, and those of the slices that calibrate: nothing may have looked at them."""
    from gliascope.training import loop

    (made,) = load_splits(place / "split.parquet")
    calibrating = divide_validation(made.frame, selects=True).calibrating["path"].to_list()
    for file in [*official_source.glob("Testing/*/*"), *(place / path for path in calibrating)]:
        file.unlink()
    trained: list[int] = []
    original = loop.log_epoch

    def log(folder: Path, history: list[EpochMetrics], losses: object) -> None:
        trained.append(len(history))
        if len(trained) == 3:
            raise KeyboardInterrupt
        original(folder, history, losses)

    monkeypatch.setattr(loop, "log_epoch", log)
    assert tune(place, "--trials", 2, "--set", "stages.0.epochs=2")[0] == 130
    assert trained == [1, 2, 1]
    code, _, errors = tune(place, "--trials", 2, "--set", "stages.0.epochs=2")
    assert code == 0, errors
    trials = found(place)["trials"]
    assert [trial["epochs"] for trial in trials] == [2, 2]
    assert all(0 <= trial["value"] <= 1 for trial in trials)
    (stored,) = (place / "cache" / "store").glob("*/pixels.npy")
    assert calibrating
    assert len(np.load(stored, mmap_mode="r")) == 48 - len(calibrating)
    assert Catalog.load(place / "catalog.parquet").frame.height == 64


def complete(place: Path) -> list[dict]:
    return [trial.params for trial in study(place).trials if trial.state.name == "COMPLETE"]


def killed(place: Path, formula: Formula) -> Path:
    """A study whose third trial was killed; folder of that trial."""
    formula.calls.clear()
    formula.raises = {3: SystemExit(9)}  # Optuna catches all that a living process can raise, but this
    tune(place, "--trials", 5)
    assert [trial.state.name for trial in study(place).trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    formula.raises = {}
    return max(
        (place / "out" / "trials").iterdir(), key=lambda path: (path / "0" / "last.safetensors").exists()
    )


def test_a_killed_trial_is_taken_up_at_once_and_those_after_are_what_they_would_have_been(
    place: Path, formula: Formula
) -> None:
    assert tune(place, "--trials", 5)[0] == 0
    whole = complete(place)
    shutil.rmtree(place / "out")
    killed(place, formula)
    assert tune(place, "--trials", 5)[0] == 0
    assert complete(place) == whole
    assert [trial.state.name for trial in study(place).trials].count("RUNNING") == 0


def test_the_lock_of_a_trial_that_was_killed_after_its_end_is_removed(place: Path, formula: Formula) -> None:
    tune(place, "--trials", 2)
    locks = [folder / ".lock" for folder in sorted((place / "out" / "trials").iterdir())]
    for lock in locks:
        lock.touch()
    with FileLock(locks[1]):  # a living process
        tune(place, "--trials", 2)
        assert [lock.exists() for lock in locks] == [False, True]


def test_a_trial_that_another_process_holds_is_left_alone(place: Path, formula: Formula) -> None:
    with folder_lock(killed(place, formula)):
        assert tune(place, "--trials", 4)[0] == 0
        assert [trial.state.name for trial in study(place).trials].count("RUNNING") == 1


def test_a_folder_may_have_any_name(place: Path, formula: Formula) -> None:
    for name in ("out [2]", "what?", "a#b%20{c}", "é ö"):
        code, _, errors = tune(place, "--trials", 2, "--out", place / name)
        assert code == 0, errors
        assert (place / name / "study.db").exists()
