"""The steps of the main job, each once: one store, trainings without a calibrator, then calibration."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY
from typer.testing import CliRunner

import gliascope
from gliascope.cli import app
from gliascope.commands import evaluate as evaluate_module
from gliascope.commands.evaluate import evaluate
from gliascope.commands.train import calibrate_runs, train
from gliascope.dataset.scan import scan
from gliascope.errors import RunError
from gliascope.inference.bundle import Bundle
from gliascope.models.backbones import complete_recipe
from gliascope.recipes import load_recipe
from gliascope.splits.split import split, write_splits
from gliascope.store.store import store
from gliascope.store.store_splits import store_splits

SETS = [argument for override in (*TINY, "stages.0.epochs=1") for argument in ("--set", override)]


@pytest.fixture(autouse=True)
def _export_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliascope.training.run.export_bundle", lambda *_: bundle)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modules that asked for a store, wherever they are."""
    asked: list[str] = []

    def counted(*given: object, **options: object) -> object:
        asked.append(sys._getframe(1).f_globals["__name__"])
        return store(*given, **options)  # type: ignore[arg-type]

    for name, module in list(sys.modules.items()):
        if name.startswith(gliascope.__name__) and getattr(module, "store", None) is store:
            monkeypatch.setattr(module, "store", counted)
    return asked


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exit_code == 1 and done.exception:
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stderr


def test_a_run_of_several_trainings_makes_one_store(
    official_source: Path, tmp_path: Path, stores: list[str], capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    protocols = ("--protocol", "official,random,grouped")
    invoke("run", official_source, "--out", out, *protocols, *SETS)
    assert stores == ["gliascope.store.store_splits"]
    assert {path.name for path in out.glob("run*")} == {"run", "run-random", "run-grouped"}
    assert all(Bundle.load(path / "model").calibrator for path in out.glob("run*"))


def test_a_training_that_is_not_calibrated_is_unchecked_and_the_same_command_calibrates_it(
    official_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = scan([official_source])
    catalog.write(tmp_path / "catalog.parquet")
    write_splits(split(catalog, ["official", "random"]), tmp_path / "split.parquet")
    command = (
        "train", tmp_path / "catalog.parquet", tmp_path / "split.parquet", "--out", tmp_path / "run", *SETS
    )  # fmt: skip

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gliascope.commands.train.calibrate_runs", stop)
        assert CliRunner().invoke(app, list(map(str, command))).exit_code == 130
    models = [tmp_path / name / "model" for name in ("run", "run-random")]
    assert [Bundle.load(model).calibrator for model in models] == [None, None]
    before = [(model.parent / "chosen.safetensors").stat().st_mtime_ns for model in models]
    monkeypatch.setattr("gliascope.training.stage.StageTraining._train", stop)
    invoke(*command)
    assert all(Bundle.load(model).calibrator for model in models)
    assert [(model.parent / "chosen.safetensors").stat().st_mtime_ns for model in models] == before
    written = [(model / "bundle.json").stat().st_mtime_ns for model in models]
    invoke(*command)
    assert [(model / "bundle.json").stat().st_mtime_ns for model in models] == written


def test_a_run_is_calibrated_on_its_own_split_alone(make_source: Callable[..., Path], tmp_path: Path) -> None:
    catalog = scan([make_source({"yes": 12, "no": 12})])
    recipe = complete_recipe(load_recipe("quick", [*TINY, "stages.0.epochs=1"]))
    images, splits = store_splits(catalog.frame, split(catalog, ["grouped", "random"]), recipe.preprocessing)
    runs = train(recipe, splits[:1], images, tmp_path / "run")
    with pytest.raises(RunError, match="was trained on another split"):
        calibrate_runs(runs, images, splits[1:])
    assert Bundle.load(runs[0].model).calibrator is None


def test_evaluating_a_run_of_another_preprocessing_makes_its_store_in_one_place(
    official_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    catalog = scan([official_source])
    recipe = complete_recipe(load_recipe("quick", [*TINY, "stages.0.epochs=1"]))
    images, splits = store_splits(catalog.frame, split(catalog), recipe.preprocessing)
    runs = train(recipe, splits, images, tmp_path / "run")
    asked = []

    def counted(frame, preprocessing):
        asked.append(preprocessing)
        return store(frame, preprocessing)

    monkeypatch.setattr(evaluate_module, "store", counted)
    evaluate(runs, catalog, splits, images, folder=tmp_path / "same")
    assert asked == []
    other = store(catalog.frame, recipe.preprocessing.model_copy(update={"size": 48}))
    evaluate(runs, catalog, splits, other, folder=tmp_path / "other")
    assert asked == [bundle.info.preprocessing]
    names = ("same", "other")
    tables = [(tmp_path / name / "predictions.parquet").read_bytes() for name in names]
    assert tables[0] == tables[1]
