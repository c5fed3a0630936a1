"""What a file says it is, in findings and their studies."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from making import Make
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from gliascope.errors import GliascopeError
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict_files import predict_files

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom")

KINDS = {
    "acquired": {},
    "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "map": {"ImageType": ["DERIVED", "PRIMARY", "ADC"]},
    "capture": {"SOPClassUID": SecondaryCaptureImageStorage},
    "seg": {"SOPClassUID": SegmentationStorage, "Modality": "SEG"},
}


def files(folder: Path, *kinds: str) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir()
    made = []
    for number, kind in enumerate(kinds):
        stored = rng.integers(0, 900, (24, 24), np.uint16)
        path = Make(folder).dicom(stored, StudyInstanceUID="1.2.3", **KINDS[kind])
        made.append(path.rename(folder / f"{number}-{kind}.dcm"))
    return made


def test_only_acquired_slices_have_a_say_in_the_study(bundle: Bundle, tmp_path: Path) -> None:
    acquired = files(tmp_path / "a", "acquired", "acquired", "acquired")
    others = files(tmp_path / "b", "localizer", "map", "capture", "seg")
    alone = predict_files(bundle, acquired).findings[-1]
    job = predict_files(bundle, [*others, *acquired], tmp_path / "out.jsonl")
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one["kind"] for one in told] == ["localizer", "derived map", None, None, None, None]
    assert told[-1]["slice"] is None
    assert job.findings[-1].probabilities == alone.probabilities
    assert {(error.path.name, error.reason) for error in job.unreadable} == {
        ("2-capture.dcm", "secondary capture beside acquired slices"),
        ("3-seg.dcm", "segmentation, not a slice"),
    }
    parts = tmp_path / "out.parquet"
    assert len(predict_files(bundle, [*others, *acquired], parts).unreadable) == 2
    study = pl.read_parquet(parts / "studies.parquet")
    assert study["probabilities"].to_list() == [alone.probabilities]
    slices = pl.read_parquet(parts / "part-000000.parquet")
    assert slices["kind"].to_list() == ["localizer", "derived map", None, None, None]


def test_a_study_of_captures_alone_is_one(bundle: Bundle, tmp_path: Path) -> None:
    job = predict_files(bundle, files(tmp_path / "a", "capture", "capture"))
    assert not job.unreadable
    assert [finding.slice for finding in job.findings] == [0, 0, None]


def test_a_localizer_alone_makes_no_study(bundle: Bundle, tmp_path: Path) -> None:
    job = predict_files(bundle, files(tmp_path / "a", "localizer", "localizer", "acquired"))
    assert [finding.slice for finding in job.findings] == [0, 0, 0]


def test_masks_are_set_aside(bundle: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    Image.fromarray((noise > 200).astype(np.uint8) * 255).save(tmp_path / "a_mask.png")
    job = predict_files(bundle, [tmp_path / "a.png", tmp_path / "a_mask.png"])
    assert [finding.file.name for finding in job.findings] == ["a.png"]
    assert [(error.reason, error.detail) for error in job.unreadable] == [("mask, not a slice", "of a.png")]
    with pytest.raises(GliascopeError, match="mask, not a slice"):
        predict_files(bundle, [tmp_path / "a_mask.png"])
