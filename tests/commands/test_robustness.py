import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from html_page import check_page
from tiny import LABELS, TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.corrupted_slices import (
    CLEAN,
    corrupt,
    predict_corrupted,
    read_original,
    sample_test_slices,
)
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict import Predictor, predict
from gliascope.recipes import load_recipe
from gliascope.recipes.run import Run, RunRecord, RunResults
from gliascope.robustness.corruptions import CORRUPTIONS
from gliascope.splits.split import load_splits, split, write_splits
from gliascope.store.store_splits import store_splits

SOME = {name: CORRUPTIONS[name] for name in ("noise", "rotation", "jpeg")}
CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


def robustness(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["robustness", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOME corruptions alone; of all of them there is a contract test."""
    conditions = (CLEAN, *((name, strength) for name, one in SOME.items() for strength in one.strengths))
    monkeypatch.setattr("gliascope.commands.corrupted_slices.CONDITIONS", conditions)
    monkeypatch.setattr("gliascope.commands.robustness.CONDITIONS", conditions)
    monkeypatch.setattr("gliascope.commands.robustness.CORRUPTIONS", SOME)


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Path:
    parts = {"Training": 4, "Testing": 2}
    return make_source({f"{part}/{label}": n for part, n in parts.items() for label in LABELS})


@pytest.fixture
def run(tmp_path: Path, source: Path, calibrated: Bundle) -> Run:
    """A finished run of the untrained network, with its catalogue and split beside it."""
    catalog = scan([source])
    splits = split(catalog, ["official"], validation_share=0.25)
    catalog.write(tmp_path / "catalog.parquet")
    write_splits(splits, tmp_path / "split.parquet")
    record = RunRecord(
        version="0", classes=CLASSES, protocol="official", split_seed=0, split=splits[0].training_hash,
        store="none", slices={}, weights_licence=None, environment={},
        results=RunResults(chosen_row=0, seconds=1.0, parameters=1),
    )  # fmt: skip
    made = Run(tmp_path / "run", load_recipe("quick", TINY), record)
    made.save()
    calibrated.write(made.model)
    return made


def test_a_model_is_disturbed(tmp_path: Path, run: Run, source: Path, fewer: None) -> None:
    (source / "Testing" / LABELS[0] / "000.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (source / "Testing" / LABELS[1] / "000.png").write_bytes(
        (source / "Testing" / LABELS[1] / "001.png").read_bytes()
    )
    out = tmp_path / "out"
    code, printed, errors = robustness(run.folder, "--out", out)
    assert code == 0, errors
    assert {path.name for path in out.iterdir()} == {
        "robustness.html", "robustness.json", "curves.png", "corruptions.png", "ledger.jsonl"
    }  # fmt: skip
    found = json.loads((out / "robustness.json").read_text(encoding="utf-8"))
    assert found["slices"] == 6 and found["test_slices"] == 8 and found["has_verdicts"]
    assert found["excluded"]["changed since the scan"] == 1 and sum(found["excluded"].values()) == 2
    assert list(found["corruptions"]) == list(SOME)
    for name, one in found["corruptions"].items():
        assert [row["strength"] for row in one["strengths"]] == list(CORRUPTIONS[name].strengths)
        for row in one["strengths"]:
            accepted = row["verdicts"]["accepted"]
            right = accepted["accuracy"]["value"] or 0
            assert row["accepted_errors"]["value"] == pytest.approx(accepted["share"]["value"] * (1 - right))
            assert row["accuracy_loss"]["value"] == pytest.approx(
                found["clean"]["accuracy"]["value"] - row["accuracy"]["value"]
            )
    page = check_page((out / "robustness.html").read_text(encoding="utf-8"))
    assert "What a strength means" in page.text and "as it is" in printed


def test_answers_are_those_of_the_one_prediction_path(run: Run, calibrated: Bundle, tmp_path: Path) -> None:
    from collections import Counter

    from PIL import Image

    from gliascope.splits.split import load_splits

    catalog = Catalog.load(tmp_path / "catalog.parquet")
    frame = sample_test_slices(load_splits(tmp_path / "split.parquet")[0], catalog, 2, seed=3)
    assert frame.height == 2
    rejects: Counter[str] = Counter()
    first = next(predict_corrupted(calibrated, frame, 3, rejects))
    files = []
    for number, pixels in enumerate(corrupt(read_original(frame, first.row), 3)):
        files.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(pixels).save(files[-1])
    for finding, probabilities, verdict in zip(
        predict(Predictor.load(calibrated), files, pytest.fail),
        first.probabilities,
        first.verdicts,
        strict=True,
    ):
        assert list(finding.probabilities.values()) == pytest.approx(probabilities.tolist(), abs=1e-5)
        assert finding.verdict == verdict


def test_a_run_whose_files_were_gone_when_it_was_trained(
    tmp_path: Path, run: Run, source: Path, fewer: None
) -> None:
    next((source / "Training").rglob("*.png")).unlink()
    splits = load_splits(tmp_path / "split.parquet")
    frame = Catalog.load(tmp_path / "catalog.parquet").frame
    left = store_splits(frame, splits, run.recipe.preprocessing)[1][0].training_hash
    assert left != run.record.split
    Run(run.folder, run.recipe, run.record.model_copy(update={"split": left})).save()
    code, _, errors = robustness(run.folder, "--out", tmp_path / "out")
    assert code == 0, errors


def test_errors_name_what_is_wrong(tmp_path: Path, run: Run, source: Path) -> None:
    frame = pl.read_parquet(tmp_path / "split.parquet")
    swapped = frame.with_columns(subset=pl.col("subset").replace({"train": "val", "val": "train"}))
    swapped.write_parquet(tmp_path / "other.parquet")
    frame.filter(pl.col("subset") != "test").write_parquet(tmp_path / "untested.parquet")
    for arguments, message in (
        ((tmp_path,), "not a run"),
        ((run.folder, "--split", tmp_path / "none.parquet"), "none.parquet: not found"),
        ((run.folder, "--split", tmp_path / "other.parquet"), "was trained on another split"),
        ((run.folder, "--split", tmp_path / "untested.parquet"), "leaves no slice to test"),
    ):
        code, _, errors = robustness(*arguments, "--out", tmp_path / "out")
        assert code == 2 and message in errors
    catalog = Catalog.load(tmp_path / "catalog.parquet")
    (tmp_path / "less").mkdir()
    replace(catalog, frame=catalog.frame.head(3)).write(tmp_path / "less" / "catalog.parquet")
    code, _, errors = robustness(
        run.folder, "--catalog", tmp_path / "less" / "catalog.parquet", "--out", tmp_path / "out"
    )
    assert code == 2 and "the catalogue lacks" in errors and "--catalog" in errors
    for path in (source / "Testing").rglob("*.png"):
        path.unlink()
    code, _, errors = robustness(run.folder, "--out", tmp_path / "out")
    assert code == 2 and "none of 8 test slices can be used (8 not found)" in errors
    shutil.rmtree(tmp_path / "catalog.parquet")
    code, _, errors = robustness(run.folder, "--out", tmp_path / "out")
    assert code == 2 and "catalog.parquet: not found; name by --catalog" in errors
    assert not (tmp_path / "out").exists()
