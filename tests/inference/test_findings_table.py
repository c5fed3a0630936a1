import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.errors import GliascopeError, ReadError
from gliascope.inference import findings_table
from gliascope.inference.bundle import Bundle
from gliascope.inference.findings_table import read_findings
from gliascope.inference.predict_files import predict_files

Make = Callable[..., Path]


@pytest.fixture
def source(make_source: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten slices and two volumes, four findings a part."""
    monkeypatch.setattr(findings_table, "ROWS_PER_FILE", 4)
    made = make_source({"yes": 5, "no": 5})
    for name in ("v.nii", "w.nii"):
        volume = np.random.default_rng(len(name)).normal(100, 20, (20, 22, 5)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), made / name)
    (made / "bad.png").write_bytes(b"bad")
    return made


def test_parts_hold_what_json_lines_do(calibrated: Bundle, source: Path, tmp_path: Path) -> None:
    lines = predict_files(calibrated, [source], tmp_path / "f.jsonl")
    out = tmp_path / "f.parquet"
    assert list(map(str, predict_files(calibrated, [source], out).unreadable)) == list(
        map(str, lines.unreadable)
    )
    assert sorted(path.name for path in out.iterdir()) == [
        *(f"part-00000{number}.parquet" for number in range(6)), "studies.parquet",
    ]  # fmt: skip
    found = read_findings(out).collect()
    assert found["probabilities"].to_list() == [one.probabilities for one in lines.findings]
    rounded = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    for key in ("file", "slice", "study", "label", "prediction_set", "verdict"):
        assert found[key].to_list() == [line[key] for line in rounded], key
    assert found["outlier_score"].round(4).to_list() == [line["outlier_score"] for line in rounded]
    assert found.filter(pl.col("slice").is_null()).height == 2


def test_only_findings_are_replaced(calibrated: Bundle, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    predict_files(calibrated, [source], out)
    predict_files(calibrated, [source / "yes"], out)
    assert read_findings(out).collect().height == 5
    (out / "mine.txt").write_text("mine")
    with pytest.raises(GliascopeError, match="something else"):
        predict_files(calibrated, [source], out)
    assert (out / "mine.txt").exists()


def test_where_nothing_can_be_read_nothing_is_written(
    calibrated: Bundle, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReadError):
        predict_files(calibrated, [source / "bad.png"], tmp_path / "f.parquet")
    assert not (tmp_path / "f.parquet").exists()


def test_the_command_counts_them(calibrated: Bundle, source: Path, tmp_path: Path) -> None:
    calibrated.write(tmp_path / "bundle")
    out = tmp_path / "f.parquet"
    told = CliRunner().invoke(app, ["predict", str(tmp_path / "bundle"), str(source), "--out", str(out)])
    assert told.exit_code == 0, told.output
    counts = [int(line.rpartition(":")[2]) for line in told.output.splitlines() if line.startswith("  ")]
    assert sum(counts) == 20
    assert "1 files could not be read" in told.output


def test_a_folder_whose_name_looks_like_a_pattern(calibrated: Bundle, source: Path, tmp_path: Path) -> None:
    predict_files(calibrated, [source], tmp_path / "f2.parquet")
    predict_files(calibrated, [source / "yes"], tmp_path / "f[2].parquet")
    assert read_findings(tmp_path / "f[2].parquet").collect().height == 5
