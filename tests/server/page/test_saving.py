"""Saved files hold what the server sent, and spreadsheets open them safely."""

import csv
import io
import json
from pathlib import Path

import pytest
from tiny import slice_image

# Names that a spreadsheet would take for formulas, here or where semicolons part cells.
EVIL = ("=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", "a;=1+1.png", "it's, so.png")


@pytest.fixture
def read(page, files, tmp_path: Path):
    for name in EVIL:
        slice_image(1, len(name)).save(tmp_path / name)
    wanted = [tmp_path / name for name in EVIL] + [
        files / name for name in ("volume.nii.gz", "white.png", "notes.txt")
    ]
    page.set_input_files("#files", list(map(str, wanted)))
    page.wait_for_selector("#results:not([hidden])")
    return page


def saved(page, button: str) -> tuple[str, str]:
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_text(encoding="utf-8")


def test_csv_has_every_slice_study_and_reject_and_no_formula(read):
    name, text = saved(read, "#save-csv")
    assert name.startswith("gliascope-findings-")
    assert name.endswith(".csv")
    assert text.startswith("\ufeffmodel,of,file,slice,study,slices,plane,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [row["of"] for row in rows] == ["slice"] * 13 + ["study", "reject"]
    assert {row["research_use"] for row in rows} == {
        "Research use only. Not a medical device; never a diagnosis."
    }
    names = [row["file"] for row in rows[:6]]
    assert names == ["'=1+1.png", "'+1.png", "'-1.png", "'@SUM(A1).png", "a;'=1+1.png", "it's, so.png"]
    white = next(row for row in rows if row["file"] == "white.png")
    assert white["verdict"] == "out of scope"
    assert sum(
        float(white[f"p_{label}"]) for label in ("glioma", "meningioma", "no_tumor", "pituitary")
    ) == pytest.approx(1)
    assert float(white["outlier_score"]) > 1
    assert rows[-2]["slices"] == "6"
    assert rows[-2]["note"].startswith("the mean of the tenth")
    assert (rows[-1]["file"], rows[-1]["label"]) == ("notes.txt", "")
    assert rows[-1]["note"].startswith("format not recognised")


def test_json_holds_the_servers_own_answer(read):
    name, text = saved(read, "#save-json")
    assert name.endswith(".json")
    [prediction] = json.loads(text)["findings"]
    assert prediction["model"]["name"] == "quadrants"
    assert [one["file"] for one in prediction["slices"][:6]] == list(EVIL)
    assert len(prediction["studies"]) == len(prediction["rejects"]) == 1
    assert prediction["research_use"].endswith("never a diagnosis.")
