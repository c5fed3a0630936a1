"""Files of one series are predicted on one grey scale."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import volumes
from making import Make
from PIL import Image
from quadrants import quadrant_bundle

from gliascope.inference.finding import Finding
from gliascope.inference.findings_table import read_findings
from gliascope.inference.predict import Predictor, predict
from gliascope.inference.predict_files import predict_files
from gliascope.io.scales import SINGLE_SLICE_NOTE, scale_by_percentiles
from gliascope.preprocessing.preprocess import preprocess
from gliascope.runtime import resumable_map
from gliascope.runtime.executors import ThreadExecutor

BUNDLE = quadrant_bundle(slope=0.02, plain=True)


@pytest.fixture
def volume() -> np.ndarray:
    return volumes.head()


def probabilities(findings: Sequence[Finding]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in findings if one.slice is not None])


def expected(volume: np.ndarray) -> np.ndarray:
    array = scale_by_percentiles(Path("array"), list(volume))
    ready = [preprocess(one, BUNDLE.info.preprocessing) for one in array]
    return Predictor.load(BUNDLE).engine(np.stack(ready)).probabilities


def test_every_door_gives_the_same_probabilities(make: Make, volume: np.ndarray) -> None:
    wanted = expected(volume)
    assert np.ptp(wanted, axis=0).max() > 0.03
    for paths in (
        volumes.files(make, volume),
        volumes.in_syntax(make, volume, "big endian"),
        [volumes.enhanced(make, volume)],
        [volumes.nifti(make, volume)],
    ):
        assert probabilities(predict_files(BUNDLE, paths).findings) == pytest.approx(wanted, abs=1e-5)
        told = list(predict(Predictor.load(BUNDLE), paths, lambda error: None))
        assert probabilities(told) == pytest.approx(wanted, abs=1e-5)
        assert not any(one.notes for one in told)


@pytest.mark.parametrize("files", [1, 5])
def test_order_and_blocks_change_nothing(
    make: Make, volume: np.ndarray, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", files)
    paths = volumes.files(make, volume)[::-1]
    for workers in (None, ThreadExecutor(3)):
        found = predict_files(BUNDLE, paths, executor=workers).findings
        assert probabilities(found)[::-1] == pytest.approx(expected(volume), abs=1e-5)


def test_what_was_kept_is_used_on_its_own_scale_only(
    make: Make, volume: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted job that goes on with one file more has another scale."""
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 1)
    bright = volumes.head(lesion=7)
    bright[7, 10:25, 10:25] = 4000
    paths, out = volumes.files(make, bright), tmp_path / "out.jsonl"
    save, saved = resumable_map._save, list[Path]()

    def interrupted(path: Path, content: bytes) -> None:
        if len(saved) == len(paths) - 1 + 5:  # all were measured, some predicted
            raise KeyboardInterrupt
        saved.append(path)
        save(path, content)

    monkeypatch.setattr(resumable_map, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_files(BUNDLE, [*paths[:7], *paths[8:]], out)
    monkeypatch.setattr(resumable_map, "_save", save)
    assert probabilities(predict_files(BUNDLE, paths, out).findings) == pytest.approx(
        expected(bright), abs=1e-5
    )


def test_a_slice_by_itself_says_so(make: Make, volume: np.ndarray, tmp_path: Path) -> None:
    first, *rest = volumes.files(make, volume)
    job = predict_files(BUNDLE, [first], tmp_path / "alone.jsonl")
    assert job.findings[0].notes == (SINGLE_SLICE_NOTE,)
    assert json.loads((tmp_path / "alone.jsonl").read_text())["notes"] == [SINGLE_SLICE_NOTE]
    predict_files(BUNDLE, [first], tmp_path / "alone.parquet")
    assert read_findings(tmp_path / "alone.parquet").collect()["notes"].to_list() == [[SINGLE_SLICE_NOTE]]
    assert not any(one.notes for one in predict_files(BUNDLE, [first, *rest]).findings)
    assert predict_files(BUNDLE, [first, volumes.nifti(make, volume)]).findings[0].notes == (
        SINGLE_SLICE_NOTE,
    )


def test_deep_pictures_of_a_patient_share_a_scale(tmp_path: Path, volume: np.ndarray) -> None:
    folder = tmp_path / "patient 7"
    folder.mkdir()
    for index, one in enumerate(volume):
        Image.fromarray(one).save(folder / f"{index:02}.png")
    found = predict_files(BUNDLE, [folder]).findings
    assert probabilities(found) == pytest.approx(expected(volume), abs=1e-5)


def test_pictures_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gliascope.io import raster

    for number in range(5):
        Image.fromarray(np.full((9, 9), number, np.uint8)).save(tmp_path / f"{number}.jpg")
    read, seen = raster.read, list[Path]()
    monkeypatch.setattr(raster, "read", lambda path, file: (seen.append(path), read(path, file))[1])
    predict_files(BUNDLE, [tmp_path])
    assert len(seen) == 5
