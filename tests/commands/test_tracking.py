"""What is recorded of a run, listed, verified and told to others."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from outs import make_bundle
from reported import make_report, protocol_report
from tiny import LABELS
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands import predictions, tracking
from gliascope.commands.evaluated_model import RunModel
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError
from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.recipes import load_recipe
from gliascope.recipes.run import Run, RunRecord, RunResults
from gliascope.splits.split import Split, split, write_splits
from gliascope.store.store import store
from gliascope.training.environment import git_state

METRICS = "stage,epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n0,0,0.1,1,0.5,1,0.6,2\n0,1,0.1,0.5,0.7,0.6,0.7,2\n"
Make = Callable[..., Path]


def gliascope(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, arguments)))
    if done.exit_code == 1 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def make_run(
    folder: Path, made: Split, seed: int = 0, accuracy: float | None = None, finished: bool = True
) -> Run:
    """A run as `train` leaves it, whose model only means grey levels, and a report beside it."""
    recipe = load_recipe("quick", ["preprocessing.size=16", f"seed={seed}"])
    model = make_bundle(recipe.name, made.classes)
    record = RunRecord(
        version="0",
        classes=made.classes,
        protocol=made.protocol,
        split_seed=0,
        split=made.training_hash,
        store="",
        slices={},
        data=made.subset_hashes,
        started=f"2026-11-2{seed}T20:00:00+00:00",
        weights_licence=None,
        environment={"device": "cpu"},
        results=RunResults(chosen_row=1, seconds=4.0 - seed, parameters=12) if finished else None,
    )
    run = Run(folder, recipe, record)
    run.save()
    (folder / "metrics.csv").write_text(METRICS)
    if finished:
        model.write(run.model)
    if accuracy is not None:
        text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        number = Estimate(value=accuracy, low=accuracy - 0.1, high=accuracy + 0.1)
        scores = Scores(np.tile([0.9, 0.1], (4, 1)), np.arange(4) % 2, np.arange(4), ("no_tumor", "tumor"))
        tested = protocol_report(scores, accuracy=number)
        make_report({made.protocol: tested}, recipe=text).write(folder.parent)
    return run


@pytest.fixture
def made(official_source: Path, tmp_path: Path) -> Run:
    """A run with catalogue, split, predictions and report beside it."""
    place = tmp_path / "place"
    catalog = scan([official_source])
    catalog.write(place / "catalog.parquet")
    (one,) = split(catalog)
    write_splits([one], place / "split.parquet")
    run = make_run(place / "run", one)
    test = one.subset("test")
    bundle = Bundle.load(run.model)
    model = RunModel(run, bundle, store(catalog.frame, bundle.info.preprocessing))
    probabilities = Engine(model.bundle)(
        model.cached_outputs.images.pixels[model.cached_outputs.images.rows(test["pixel_hash"])]
    ).probabilities
    labels = np.array([one.classes.index(label) for label in test["label"]])
    scores = Scores(probabilities, labels, test["group"].to_numpy(), one.classes)
    predictions.write_predictions(predictions.prediction_rows(one, catalog, scores), place)
    make_run(place / "run", one, accuracy=float((scores.predictions == labels).mean()))
    return run


def test_fingerprints_follow_content_and_labels_and_not_the_order(official_source: Path) -> None:
    (one,) = split(scan([official_source]))
    prints = one.subset_hashes
    assert set(prints) == {"train", "val", "test"}
    assert Split(one.frame.reverse()).subset_hashes == prints
    label = pl.when(pl.col("subset") == "test").then(pl.lit("glioma")).otherwise("label").alias("label")
    other = Split(one.frame.with_columns(label)).subset_hashes
    assert {name for name in prints if prints[name] != other[name]} == {"test"}


def test_the_state_of_the_users_folder_is_a_commit_and_whether_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True).stdout

    git("init")
    assert git_state() is None
    (tmp_path / "patient-7.txt").write_text("a")
    git("add", ".")
    git("commit", "-m", "first")
    state = git_state()
    assert state.commit == git("rev-parse", "HEAD").strip()
    assert not state.dirty
    (tmp_path / "patient-7.txt").write_text("b")
    assert git_state().dirty
    assert "patient" not in git_state().model_dump_json()
    monkeypatch.setenv("PATH", "")
    assert git_state() is None


def test_runs_are_found_listed_and_sorted(official_source: Path, tmp_path: Path) -> None:
    (one,) = split(scan([official_source]))
    make_run(tmp_path / "a" / "run", one, seed=1, accuracy=0.7)
    make_run(tmp_path / "b" / "run", one, seed=0, accuracy=0.9)
    make_run(tmp_path / "c", one, seed=2, finished=False)
    make_run(tmp_path / "a" / "run" / "members" / "1", one)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "run.json").write_text("{}")

    def order(*options: str) -> list[str]:
        code, output, errors = gliascope("runs", tmp_path, *options)
        assert code == 0
        assert "d: not a run" in errors
        rows = [line for line in output.splitlines() if "quick" in line]
        assert ["training" in row for row in rows].count(True) == 1
        return [next(name for name in ("a/run", "b/run", "c") if f" {name} " in row) for row in rows]

    assert order() == ["b/run", "a/run", "c"]
    assert order("--sort", "accuracy") == ["b/run", "a/run", "c"]
    assert order("--sort", "seconds") == ["a/run", "b/run", "c"]
    output = gliascope("runs", tmp_path)[1]
    for text in ("90.0\u202f%", "official", "70.0\u202f%", "2026-11-20 20:00", "finished"):
        assert text in output
    assert "80.0" in output and "100" in output  # the interval
    assert "choose from date, accuracy" in gliascope("runs", tmp_path, "--sort", "luck")[2]
    assert gliascope("runs", tmp_path / "a" / "run" / "model")[0] == 2


def test_a_run_that_is_as_recorded_verifies(made: Run) -> None:
    code, output, errors = gliascope("verify", made.folder)
    assert code == 0, errors
    assert "agrees with what was recorded" in output
    assert "differ by 0" in output


def test_files_that_are_missing_or_changed_are_named(made: Run, official_source: Path) -> None:
    testing = official_source / "Testing"
    (testing / LABELS[0] / "000.png").unlink()
    (testing / LABELS[1] / "001.png").write_bytes((testing / LABELS[1] / "002.png").read_bytes())
    code, output, _ = gliascope("verify", made.folder)
    assert code == 1
    assert "lost: source/Testing/glioma/000.png (not found)" in output
    assert "lost: source/Testing/meningioma/001.png (changed)" in output
    assert "does not agree" in output


@pytest.mark.parametrize("what", ["predictions", "report", "model", "record"])
def test_what_is_not_as_recorded_is_said(made: Run, what: str) -> None:
    place = made.folder.parent
    if what == "predictions":
        frame = pl.read_parquet(place / predictions.PREDICTIONS_FILE)
        frame.with_columns(p_glioma=pl.col("p_pituitary"), p_pituitary=pl.col("p_glioma")).write_parquet(
            place / predictions.PREDICTIONS_FILE
        )
    elif what == "report":
        report = json.loads((place / "report.json").read_text())
        report["protocols"]["official"]["accuracy"]["value"] += 0.01
        (place / "report.json").write_text(json.dumps(report))
    elif what == "model":
        make_bundle("quick", made.record.classes, slope=-1.0).write(made.model)
    else:
        update = {"data": made.record.data | {"test": "0" * 20}}
        Run(made.folder, made.recipe, made.record.model_copy(update=update)).save()
    code, output, _ = gliascope("verify", made.folder)
    assert code == 1
    assert {"report": "the report states accuracy", "record": "not those of the run's record"}.get(
        what, "differ by"
    ) in output


def test_the_predictions_of_another_name_are_those_that_are_compared(made: Run) -> None:
    own = made.folder.parent / "predictions.parquet"
    frame = pl.read_parquet(own)
    columns = [name for name in frame.columns if name.startswith("p_")]
    other = own.with_name("others.parquet")
    frame.with_columns(pl.lit(1 / len(columns)).alias(name) for name in columns).write_parquet(other)
    assert gliascope("verify", made.folder, "--predictions", own)[0] == 0
    code, output, _ = gliascope("verify", made.folder, "--predictions", other)
    assert code == 1 and "differ by" in output


def test_mlflow_gets_recipe_epochs_results_and_files_once(
    made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # a store in SQLite has its artifacts in ./mlruns
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (made.folder.parent / "report.html").write_text("")
    make_bundle("quick", made.record.classes).write(made.folder.parent / "bundle")
    for _ in range(2):
        tracking.track(uri, [made], made.folder.parent)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("gliascope")
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["name"] == "quick"
    assert logged.data.params["stages.0.batch_size"] == str(made.recipe.stages[0].batch_size)
    steps = client.get_metric_history(logged.info.run_id, "val_accuracy")
    assert [(one.step, one.value) for one in steps] == [(1, 0.6), (2, 0.7)]
    report = json.loads((made.folder.parent / "report.json").read_text())
    assert logged.data.metrics["test_accuracy"] == report["protocols"]["official"]["accuracy"]["value"]
    assert {"test_accuracy_low", "test_accuracy_high", "training_seconds"} <= set(logged.data.metrics)
    names = {one.path for one in client.list_artifacts(logged.info.run_id)}
    assert names == {"model", "report.html", "report.json", "bundle"}


def test_mlflow_that_is_missing_or_unreachable_is_one_line(
    made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(GliascopeError, match="--mlflow nonsense://x: "):
        tracking.track("nonsense://x", [made])
    for uri in ("nonsense://x", "http://127.0.0.1:9", "mysql://a@b/c"):  # before the work, and not in minutes
        began = time.monotonic()
        with pytest.raises(GliascopeError, match=f"--mlflow {uri}: ") as caught:
            tracking.check_mlflow(uri)
        assert time.monotonic() - began < 60
        assert "\n" not in str(caught.value)
        assert "gliascope[" not in str(caught.value)
    assert "the driver of that database" in str(caught.value)
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    place = made.folder.parent
    code, _, errors = gliascope("train", place / "catalog.parquet", place / "split.parquet", "--mlflow", "x")
    assert code == 2
    assert errors == "error: --mlflow needs MLflow: pip install 'gliascope[mlflow]'\n"
    assert Catalog.load(place / "catalog.parquet")
