"""Runs made by hand, on real splits: no training, and graphs that only mean grey levels."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from greys import make_run, register
from html_page import check_page
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.evaluate import evaluate
from gliascope.commands.evaluated_model import CachedOutputs
from gliascope.commands.predictions import load_predictions
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.recipes.run import Run, RunResults
from gliascope.splits.split import load_splits, split, write_splits
from gliascope.splits.validation import divide_validation
from gliascope.store.store import store
from gliascope.store.store_splits import store_splits

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


def ensemble(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["ensemble", *map(str, arguments)])
    if done.exit_code == 1 and done.exception:
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def catalog(official_source: Path) -> Catalog:
    return scan([official_source])


@pytest.fixture
def make_runs(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Path]]:
    """One finished run a slope: all on one split with seeds of their own, or on a round of `protocol` each.

    overrides: of the recipe, for each run in turn.
    """
    register(monkeypatch)

    def make(
        slopes: tuple[float, ...],
        protocol: str = "official",
        overrides: tuple[tuple[str, ...], ...] = ((),),
        **options: object,
    ) -> list[Path]:
        splits = split(catalog, [protocol], **options)
        places = []
        for number, slope in enumerate(slopes):
            place = tmp_path / f"{protocol}-{number}"
            catalog.write(place / "catalog.parquet")
            write_splits(splits, place / "split.parquet")
            made_on = splits[number % len(splits)]
            run = make_run(
                place / "run",
                slope,
                CLASSES,
                f"seed={number}",
                *overrides[number % len(overrides)],
                protocol=protocol,
                split_seed=made_on.seed,
                split=made_on.training_hash,
                environment={"device": f"cpu {number}", "cores": 2},
            )
            (run.folder / "metrics.csv").write_text(
                "stage,epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n0,0,1,1,1,1,1,4\n0,1,1,1,1,1,1,8\n"
            )
            places.append(run.folder)
        return places

    return make


def test_seeds_become_one_bundle_with_a_report_of_its_own(
    catalog: Catalog, make_runs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    runs, out = make_runs((0.02, -0.02, 0.04)), tmp_path / "out"
    for run in runs[:2]:
        one = Run.load(run)
        splits = load_splits(run.parent / "split.parquet")
        images, splits = store_splits(catalog.frame, splits, one.recipe.preprocessing)
        evaluate([one], catalog, splits, images, folder=run.parent)
    code, printed, errors = ensemble(*runs, "--out", out)
    assert code == 0, errors
    assert "official" in printed
    assert {path.name for path in out.iterdir()} >= {
        "run",
        "bundle",
        "split.parquet",
        "report.json",
        "report.html",
    }
    made = Run.load(out / "run")
    assert made.recipe.name == "quick × 3"
    assert made.record.results == RunResults(chosen_row=None, seconds=36.0, parameters=15)
    assert made.record.environment == {"device": "cpu 0, cpu 1, cpu 2", "cores": 2}
    assert [member.seed for member in made.record.ensemble.members.values()] == [0, 1, 2]
    assert Run.load(out / "run" / "members" / "2").recipe == Run.load(runs[1]).recipe
    report = json.loads((out / "report.json").read_text())
    assert report["run"]["ensemble"]["average"] == "probabilities"
    assert report["curves"] == []
    assert report["chosen_epoch"] is None
    page = check_page((out / "report.html").read_text())
    assert "quick × 3 on source" in page.text
    assert Bundle.load(out / "bundle").info.metrics["official"].n == 16

    done = CliRunner().invoke(
        app, ["compare", *(str(run.parent) for run in runs[:2]), str(out), "--out", str(tmp_path / "c")]
    )
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads((tmp_path / "c" / "compare.json").read_text())["ensembles"]
    assert (row["name"], len(row["members"]), row["of"]) == ("quick × 3", 2, 3)
    accuracies = [
        json.loads((place / "report.json").read_text())["protocols"]["official"]["accuracy"]["value"]
        for place in (out, *(run.parent for run in runs[:2]))
    ]
    assert row["gain"]["value"] == pytest.approx(accuracies[0] - np.mean(accuracies[1:]))
    assert row["gain"]["low"] <= row["gain"]["value"] <= row["gain"]["high"]
    assert row["seconds"] == pytest.approx(3)
    assert row["latency"] > 0
    page = check_page((tmp_path / "c" / "compare.html").read_text())
    assert "2 of 3" in page.text
    assert "× 3.00" in page.text


def test_the_same_command_replaces_an_ensemble_and_nothing_else(
    make_runs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    runs = make_runs((0.02, -0.02))
    for average in ("probabilities", "logits"):
        assert ensemble(*runs, "--out", tmp_path / "out", "--average", average)[0] == 0
    assert Run.load(tmp_path / "out" / "run").record.ensemble.average == "logits"
    code, _, errors = ensemble(*runs, "--out", runs[0].parent)
    assert code == 2
    assert "holds a run that is not an ensemble" in errors
    code, _, errors = ensemble(tmp_path / "out" / "run", runs[0], "--out", tmp_path / "other")
    assert code == 2
    assert "is an ensemble; join its members" in errors


def test_folds_become_a_bundle_that_is_not_tested(
    make_runs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    runs = make_runs((0.02, -0.02, 0.01, 0.03, 0.0), "folds")
    code, printed, errors = ensemble(*runs, "--out", tmp_path / "out")
    assert code == 0, errors
    assert "made but not tested" in errors
    assert str(tmp_path / "out" / "run" / "model") in printed
    assert not (tmp_path / "out" / "report.json").exists()
    assert Bundle.load(tmp_path / "out" / "run" / "model").info.recipe == "quick × 5"
    # Every slice is tested by a fold and trains others, but for those that validate in all others: they are
    # the first of the same order, and what the ensemble can be calibrated on.
    assert set(load_splits(tmp_path / "out" / "split.parquet")[0].frame["subset"]) == {"train", "val"}


def test_repeats_of_a_protocol_are_tested_on_what_none_was_trained_on(
    make_runs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    runs = make_runs((0.02, -0.02), "grouped", repeats=2)
    code, _, errors = ensemble(*runs, "--out", tmp_path / "out")
    assert code == 0, errors
    parts = [split.frame for split in load_splits(runs[0].parent / "split.parquet")]
    both = parts[0].join(parts[1], on=["path"]).filter(subset="test", subset_right="test")
    assert 0 < both.height < parts[0].filter(subset="test").height
    assert sorted(load_predictions(tmp_path / "out")["path"]) == sorted(both["path"])


def test_what_chose_a_member_does_not_calibrate_the_ensemble(
    make_runs: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members of two drawings: what calibrates one of them may have been meant to choose in the other."""
    calibrated: set[str] = set()
    call = CachedOutputs.__call__

    def called(self: CachedOutputs, frame: pl.DataFrame, part: str) -> Outputs:
        calibrated.update(frame["pixel_hash"] if part == "val" else ())
        return call(self, frame, part)

    monkeypatch.setattr(CachedOutputs, "__call__", called)
    runs = make_runs((0.02, -0.02), repeats=2, validation_share=0.5)
    second = Run.load(runs[1])
    Run(runs[1], second.recipe.model_copy(update={"keep": "best"}), second.record).save()
    code, _, errors = ensemble(*runs, "--out", tmp_path / "out")
    assert code == 0, errors
    chose = {
        name
        for made in load_splits(runs[0].parent / "split.parquet")
        for name in divide_validation(made.frame, selects=True).choosing["pixel_hash"]
    }
    assert calibrated and chose
    assert not calibrated & chose
    record = Run.load(tmp_path / "out" / "run").record
    assert [member.selects_on_validation for member in record.ensemble.members.values()] == [False, True]


def test_members_of_unequal_pictures_are_given_the_largest(
    make_runs: Callable[..., list[Path]], catalog: Catalog, tmp_path: Path
) -> None:
    """Of one slope, so that what is left are the pictures: a mean grey level is much the same in all sizes."""
    overrides = ((), ("preprocessing.size=40", "preprocessing.mean=[0,0,0]"), ("preprocessing.size=24", "preprocessing.channels=rgb"))  # fmt: skip
    runs = make_runs((0.02, 0.02, 0.02), overrides=overrides)
    code, _, errors = ensemble(*runs, "--out", tmp_path / "out")
    assert code == 0, errors
    made = Run.load(tmp_path / "out" / "run")
    bundle = Bundle.load(made.model)
    assert bundle.info.preprocessing == made.recipe.preprocessing
    assert bundle.info.preprocessing.shape == (40, 40, 3)
    assert not bundle.info.activation_maps  # 16, 40 and 24 places to a side
    assert load_predictions(tmp_path / "out").height == 16

    def features(one: Bundle) -> np.ndarray:
        return Engine(one)(store(catalog.frame, one.info.preprocessing).pixels[:8]).ood_features["network"]

    own = [features(Bundle.load(run / "model")) for run in runs]
    assert np.abs(features(bundle) - np.concatenate(own, axis=1)).max() < 1


def _one(runs: list[Path]) -> list[object]:
    return [runs[0]]


def _twice(runs: list[Path]) -> list[object]:
    return [runs[0], runs[0].parent / "run"]


def _unfinished(runs: list[Path]) -> list[object]:
    record = Run.load(runs[1]).record.model_copy(update={"results": None})
    (runs[1] / "run.json").write_text(record.model_dump_json())
    return list(runs)


def test_runs_that_went_on_without_files_that_were_gone(
    make_runs: Callable[..., list[Path]], official_source: Path, catalog: Catalog, tmp_path: Path
) -> None:
    runs = make_runs((0.02, -0.02))
    next((official_source / "Training").rglob("*.png")).unlink()
    splits = load_splits(runs[0].parent / "split.parquet")
    left = store_splits(catalog.frame, splits, Run.load(runs[0]).recipe.preprocessing)[1][0].training_hash
    for place in runs:
        run = Run.load(place)
        assert left != run.record.split
        Run(place, run.recipe, run.record.model_copy(update={"split": left})).save()
    code, _, errors = ensemble(*runs, "--out", tmp_path / "out")
    assert code == 0, errors
    assert load_splits(tmp_path / "out" / "split.parquet")[0].training_hash == left


def _other_classes(runs: list[Path]) -> list[object]:
    record = Run.load(runs[1]).record.model_copy(update={"classes": ("no_tumor", "tumor")})
    (runs[1] / "run.json").write_text(record.model_dump_json())
    return list(runs)


def _other_fit(runs: list[Path]) -> list[object]:
    run = Run.load(runs[1])
    other = run.recipe.preprocessing.model_copy(update={"fit": "pad", "size": 32})
    Run(runs[1], run.recipe.model_copy(update={"preprocessing": other}), run.record).save()
    return list(runs)


def _no_weights(runs: list[Path]) -> list[object]:
    (runs[1] / "chosen.safetensors").unlink()
    return list(runs)


def _other_weights(runs: list[Path]) -> list[object]:
    shutil.copy(runs[0] / "chosen.safetensors", runs[1])
    return list(runs)


def _other_split(runs: list[Path]) -> list[object]:
    record = Run.load(runs[1]).record.model_copy(update={"split": "0" * 20})
    (runs[1] / "run.json").write_text(record.model_dump_json())
    return list(runs)


def _no_split(runs: list[Path]) -> list[object]:
    (runs[1].parent / "split.parquet").unlink()
    return list(runs)


def _no_catalog(runs: list[Path]) -> list[object]:
    shutil.rmtree(runs[0].parent / "catalog.parquet")
    return list(runs)


def _other_protocol(runs: list[Path]) -> list[object]:
    frame = pl.read_parquet(runs[1].parent / "split.parquet")
    last = (pl.col("subset") == "val") & (pl.col("subset").cum_count().over("subset") == 1)
    changed = frame.with_columns(
        protocol=pl.lit("random"), subset=pl.when(last).then(pl.lit("train")).otherwise("subset")
    )
    changed.write_parquet(runs[1].parent / "split.parquet")
    training = load_splits(runs[1].parent / "split.parquet")[0].training_hash
    record = Run.load(runs[1]).record.model_copy(update={"split": training})
    (runs[1] / "run.json").write_text(record.model_dump_json())
    return list(runs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_one, "give two or more runs to join, each once"),
        (_twice, "give two or more runs to join, each once"),
        (_unfinished, "training has not finished"),
        (_other_classes, "name different classes"),
        (_other_fit, r"prepare slices differently: fit \(stretch, pad\)"),
        (_no_weights, "chosen.safetensors: cannot be read as weights"),
        (_other_weights, "logits differ from the trained one's"),
        (_other_split, "was trained on another split; name the split of this run by --split"),
        (_no_split, "name by --split what"),
        (_no_catalog, "name by --catalog what"),
        (_other_protocol, "were trained under different protocols: official (.*) but random"),
    ],
)
def test_what_cannot_be_joined_is_one_line_and_exit_code_2(
    make_runs: Callable[..., list[Path]], tmp_path: Path, change: Callable, message: str
) -> None:
    code, _, errors = ensemble(*change(make_runs((0.02, -0.02))), "--out", tmp_path / "out")
    assert code == 2
    assert len(errors.strip().splitlines()) == 1
    assert re.search(message, errors), errors
