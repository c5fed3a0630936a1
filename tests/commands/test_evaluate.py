"""The report of several models, and of a test that lacks a class, from a table of probabilities."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from html_page import Page
from sklearn.metrics import roc_auc_score

from gliascope.cli.tables import print_report
from gliascope.commands.external_models.evaluate import evaluate_predictions
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.splits.split import Split, split

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
FOLDERS = {"no_tumor": "notumor"}


@pytest.fixture
def catalog(official_source: Path) -> Catalog:
    return scan([official_source])


def evaluated(catalog: Catalog, splits: list[Split], told: np.ndarray, folder: Path) -> dict:
    """report.json of probabilities (n, classes) for the test slices of all rounds in turn."""
    paths = pl.concat([one.subset("test").select("path") for one in splits])
    columns = {FOLDERS.get(name, name): told[:, number] for number, name in enumerate(CLASSES)}
    paths.with_columns(**{name: pl.Series(column) for name, column in columns.items()}).unique(
        "path"
    ).write_csv(folder / "told.csv")
    evaluate_predictions(folder / "told.csv", catalog, splits, folder / "out")
    return json.loads((folder / "out" / "report.json").read_text())


def test_folds_are_ranked_one_by_one(catalog: Catalog, tmp_path: Path) -> None:
    """A7: each fold's probabilities of one class are low where the next one's are high."""
    rng = np.random.default_rng(0)
    splits = split(catalog, ["folds"])
    told, by_fold, truth = [], [], []
    for number, one in enumerate(splits):
        labels = one.class_numbers("test")
        logits = rng.normal(size=(len(labels), 4)) + 2 * np.eye(4)[labels]
        logits[:, 0] += 4 * (-1) ** number  # this model's glioma is another's
        odds = np.exp(logits)
        told.append(odds / odds.sum(axis=1, keepdims=True))
        truth.append(labels)
        both = 0 < (labels == 0).sum() < len(labels)
        by_fold.append(roc_auc_score(labels == 0, told[-1][:, 0]) if both else np.nan)
    pooled = roc_auc_score(np.concatenate(truth) == 0, np.concatenate(told)[:, 0])
    found = evaluated(catalog, splits, np.concatenate(told), tmp_path)["protocols"]["folds"]
    auroc = found["per_class"]["glioma"]["auroc"]
    assert auroc["value"] == pytest.approx(np.nanmean(by_fold), abs=1e-6)
    assert auroc["value"] > pooled + 0.1
    assert auroc["low"] < auroc["value"] < auroc["high"]
    assert len(found["curves"]["glioma"]["models"]) == int(np.isfinite(by_fold).sum())
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    assert "the faint lines are of one model each" in text
    assert "AUROC and ECE are the mean over the models" in text


def test_a_class_that_was_not_tested_is_said_wherever_numbers_are(
    catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole,) = split(catalog, ["official"])
    lacking = (pl.col("subset") == "test") & (pl.col("label") == "pituitary")
    splits = [Split(whole.frame.filter(~lacking))]
    labels = splits[0].class_numbers("test")
    told = 0.05 + 0.8 * np.eye(4)[labels]
    found = evaluated(catalog, splits, told, tmp_path)["protocols"]["official"]
    assert found["untested"] == ["pituitary"]
    assert found["per_class"]["pituitary"]["support"] == 0
    assert found["macro_f1"]["value"] == 1
    said = "No test slice is of pituitary: how well the model tells it was not tested."
    assert said in found["notes"]
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    assert said in text
    assert "3 of 4 classes" in text
    assert "pituitary not tested" in text
    print_report(tmp_path / "out")
    assert f"Warning: {said}" in " ".join(capsys.readouterr().out.split())


def test_a_second_model_on_the_same_test_slices_is_told_of_the_first(
    catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = split(catalog, ["official"])
    truth = np.eye(4)[splits[0].class_numbers("test")]
    first = evaluated(catalog, splits, 0.9 * truth + 0.025, tmp_path)["protocols"]["official"]
    assert first["earlier_evaluations"] == {"models": 0, "first": None}
    (tmp_path / "out").rename(tmp_path / "first")  # results of several models lie beside each other
    second = evaluated(catalog, splits, 0.8 * truth + 0.05, tmp_path)["protocols"]["official"]
    assert second["earlier_evaluations"]["models"] == 1
    said = "1 other model was scored on these test slices before"
    assert said in second["notes"][-1]
    assert said in Page((tmp_path / "out" / "report.html").read_text()).text
    print_report(tmp_path / "out")
    assert said in " ".join(capsys.readouterr().out.split())
    evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    again = json.loads((tmp_path / "out" / "report.json").read_text())["protocols"]["official"]
    assert again["earlier_evaluations"] == second["earlier_evaluations"]
    assert len((tmp_path / "out" / "ledger.jsonl").read_text().splitlines()) == 2
