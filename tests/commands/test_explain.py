import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from html_page import check_page
from PIL import Image
from tiny import TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.scan import pixel_hash
from gliascope.inference.bundle import Bundle
from gliascope.io import read
from gliascope.recipes import load_recipe
from gliascope.recipes.run import EnsembleRecord, Run, RunRecord, RunResults
from gliascope.splits.split import COLUMNS, Split
from gliascope.synthetic import write_phantoms

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


def explain(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "phantoms"
    write_phantoms(folder, per_class=3, size=64)
    return folder


@pytest.fixture
def make_run(tmp_path: Path, bundle: Bundle) -> Callable[..., Run]:
    """A finished run of the untrained network that `bundle` holds."""

    def make(split: str = "none", ensemble: EnsembleRecord | None = None) -> Run:
        from gliascope.models.classifier import build_classifier
        from gliascope.models.weight_files import save_weights

        recipe = load_recipe("quick", TINY)
        record = RunRecord(
            version="0", classes=CLASSES, protocol="official", split_seed=0, split=split, store="none",
            slices={}, weights_licence=None, environment={}, ensemble=ensemble,
            results=RunResults(chosen_row=0, seconds=1.0, parameters=1),
        )  # fmt: skip
        run = Run(tmp_path / "run", recipe, record)
        run.save()
        save_weights(run.folder / "chosen.safetensors", build_classifier(recipe, 4))
        bundle.write(run.model)
        return run

    return make


def masked(phantoms: Path) -> list[dict[str, str]]:
    with (phantoms / "masks.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_maps_are_held_against_lesions(
    tmp_path: Path, phantoms: Path, make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "out"
    arguments = (
        "--masks",
        phantoms / "masks.csv",
        "--sample",
        2,
        "--methods",
        "grad_cam,hires_cam,occlusion",
    )
    code, printed, errors = explain(make_run().folder, *arguments, "--out", out)
    assert code == 0, errors
    assert {path.name for path in out.iterdir()} == {
        "explain.html", "explain.json", "localisation.png", "perturbation.png", "randomisation.png"
    }  # fmt: skip
    found = json.loads((out / "explain.json").read_text(encoding="utf-8"))
    one = found["sets"]["phantoms"]
    assert one["n"] == 9 and one["excluded"] == {} and found["training_excluded"] is False
    assert one["groups"] == len({row["group"] for row in masked(phantoms)})
    assert list(one["figures"]) == ["grad_cam", "hires_cam", "occlusion", "centre_of_head"]
    for row in one["figures"].values():
        assert 0 <= row["pointing"]["low"] <= row["pointing"]["value"] <= row["pointing"]["high"] <= 1
        assert row["inside"]["value"] <= row["pointing"]["value"]
        assert 0 < row["energy"]["value"] < 1
    # Average pooling and a linear layer: the two are the same.
    assert one["figures"]["hires_cam"]["pointing"] == one["figures"]["grad_cam"]["pointing"]
    assert one["subsets"]["glioma"]["n"] == 3
    assert sum(one["subsets"].get(f"answered {how}", {"n": 0})["n"] for how in ("right", "wrong")) == 9
    assert set(one["curves"]) == {"grad_cam", "hires_cam", "occlusion", "centre_of_head", "random_order"}
    for curve in one["curves"].values():
        assert curve["n"] == 2
        # All is shown in the end, whatever the order.
        assert curve["insertion_curve"][-1] == pytest.approx(curve["deletion_curve"][0])
    assert list(found["randomised"]) == ["grad_cam", "hires_cam"]
    assert list(found["randomised"]["grad_cam"]["steps"])[-1] == "all"
    page = check_page((out / "explain.html").read_text(encoding="utf-8"))
    assert "Grad-CAM points to the lesion on" in page.text
    assert "It is not known which of these slices the run was trained on" in page.text
    assert "phantoms, 9" in printed and "Centre of the head" in printed


def test_what_the_run_learned_from_is_left_out(
    tmp_path: Path, phantoms: Path, make_run: Callable[..., Run]
) -> None:
    rows = masked(phantoms)
    hashes = [pixel_hash(read(phantoms / row["path"])[0].pixels) for row in rows]
    parts = ["train", "val", "test"]
    frame = pl.DataFrame(
        [
            ("official", "", 0, None, True, row["path"], 0, "synthetic", row["label"], name, row["group"], True, parts[n % 3])
            for n, (row, name) in enumerate(zip(rows, hashes, strict=True))
        ],
        schema=COLUMNS, orient="row",
    )  # fmt: skip
    split = Split(frame)
    run = make_run(split.training_hash)
    frame.write_parquet(tmp_path / "split.parquet")
    arguments = (run.folder, "--masks", phantoms / "masks.csv", "--sample", 1, "--methods", "grad_cam")
    code, _, errors = explain(*arguments, "--out", tmp_path / "out")
    assert code == 0, errors
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))
    assert found["training_excluded"] is True
    assert found["sets"]["phantoms"]["n"] == 3
    assert found["sets"]["phantoms"]["excluded"] == {"trained or validated on": 6}
    frame.with_columns(subset=pl.lit("train")).write_parquet(tmp_path / "other.parquet")
    code, _, errors = explain(*arguments, "--split", tmp_path / "other.parquet", "--out", tmp_path / "out")
    assert code == 2 and "was trained on another split" in errors


def test_two_sets_stand_side_by_side(tmp_path: Path, phantoms: Path, make_run: Callable[..., Run]) -> None:
    """Slices of a class that the run does not know are counted, not shown."""
    strange = tmp_path / "phantoms"
    strange.mkdir()
    rows = masked(phantoms)
    lines = [f"{phantoms / row['path']},{phantoms / row['mask']},{label}" for row, label in
             zip(rows[:2], ("glioma", "metastasis"), strict=False)]  # fmt: skip
    (strange / "masks.csv").write_text("\n".join(["path,mask,label", *lines]))
    code, _, errors = explain(
        make_run().folder, "--masks", phantoms / "masks.csv", "--masks", strange / "masks.csv",
        "--limit", 4, "--sample", 1, "--methods", "grad_cam", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, errors
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))["sets"]
    assert {name: one["n"] for name, one in found.items()} == {"phantoms": 4, "phantoms 2": 1}
    assert found["phantoms 2"]["excluded"] == {"of a class that the run does not know": 1}
    assert (
        found["phantoms 2"]["figures"]["grad_cam"]["pointing"]["low"] is None
    )  # one patient shows no spread
    check_page((tmp_path / "out" / "explain.html").read_text(encoding="utf-8"))
    assert (tmp_path / "out" / "perturbation-2.png").exists()


def test_errors_name_what_is_wrong(tmp_path: Path, phantoms: Path, make_run: Callable[..., Run]) -> None:
    run, masks = make_run().folder, phantoms / "masks.csv"
    for arguments, message in (
        ((run, "--masks", masks, "--methods", "lime"), "unknown method 'lime'; choose from grad_cam"),
        ((run, "--masks", tmp_path / "none.csv"), "none.csv: not found"),
        ((tmp_path, "--masks", masks), "not a run"),
        ((run, "--masks", masks, "--split", tmp_path / "none.parquet"), "none.parquet: not found"),
    ):
        code, _, errors = explain(*arguments, "--out", tmp_path / "out")
        assert code == 2 and message in errors
    ensemble = make_run(ensemble=EnsembleRecord(average="logits", members={})).folder
    code, _, errors = explain(ensemble, "--masks", masks, "--out", tmp_path / "out")
    assert code == 2 and "is an ensemble" in errors
    assert not (tmp_path / "out").exists()


def test_lesions_of_another_class_only_leave_nothing(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    Image.fromarray(np.full((20, 20), 90, dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.eye(20, dtype=bool)).save(tmp_path / "b.png")
    (tmp_path / "masks.csv").write_text("path,mask,label\na.png,b.png,stroke\n")
    code, _, errors = explain(make_run().folder, "--masks", tmp_path / "masks.csv", "--out", tmp_path / "out")
    assert code == 2 and "no slice with a lesion is left (1 of a class that the run does not know)" in errors
