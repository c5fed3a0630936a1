"""Files of one series in a request share a grey scale."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import volumes
from fastapi.testclient import TestClient
from making import Make
from quadrants import quadrant_bundle
from served import send, until

from gliascope.inference.predict import Predictor
from gliascope.io.scales import SINGLE_SLICE_NOTE, scale_by_percentiles
from gliascope.preprocessing.preprocess import preprocess

Serve = Callable[..., TestClient]


@pytest.fixture
def volume() -> np.ndarray:
    return volumes.head()


def expected(volume: np.ndarray) -> np.ndarray:
    bundle = quadrant_bundle()
    array = scale_by_percentiles(Path("array"), list(volume))
    predictor = Predictor.load(bundle)
    outputs = predictor.engine(np.stack([preprocess(one, bundle.info.preprocessing) for one in array]))
    assert predictor.calibrator is not None
    return predictor.calibrator.assess(outputs.logits, outputs.ood_features).probabilities


def told(prediction: dict) -> np.ndarray:
    return np.array([list(one["probabilities"].values()) for one in prediction["slices"]])


def test_a_request_a_zip_and_a_job_give_what_the_volume_gives(
    client: TestClient, tmp_path: Path, volume: np.ndarray
) -> None:
    paths = volumes.files(Make(tmp_path), volume)
    files = [(f"head/{index:02}.dcm", path.read_bytes()) for index, path in enumerate(paths)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in files:
            packed.writestr(name, content)
    nifti = volumes.nifti(Make(tmp_path / "n"), volume) if (tmp_path / "n").mkdir() is None else None
    assert nifti is not None
    wanted = expected(volume)
    for sent in (
        send(*files),
        send(("head.zip", archive.getvalue())),
        send(("volume.nii", nifti.read_bytes())),
    ):
        answer = client.post("/v1/predict", files=sent).json()
        assert told(answer) == pytest.approx(wanted, abs=2e-5)
        assert not any(one["notes"] for one in answer["slices"])
    job = client.post("/v1/jobs", files=send(*files)).json()["id"]
    until(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "done")
    assert told(client.get(f"/v1/jobs/{job}").json()["result"]) == pytest.approx(wanted, abs=2e-5)


def test_a_slice_by_itself_says_so(client: TestClient, tmp_path: Path, volume: np.ndarray) -> None:
    first = volumes.files(Make(tmp_path), volume[:1])[0]
    answer = client.post("/v1/predict", files=send(("one.dcm", first.read_bytes()))).json()
    assert answer["slices"][0]["notes"] == [SINGLE_SLICE_NOTE]


def test_a_file_that_cannot_be_read_is_tried_once(
    client: TestClient, tmp_path: Path, volume: np.ndarray
) -> None:
    first, second, third = volumes.files(Make(tmp_path), volume[:3])
    files = send(("a", first.read_bytes()), ("b", second.read_bytes()[:700]), ("c", third.read_bytes()))
    answer = client.post("/v1/predict", files=files).json()
    assert [one["file"] for one in answer["slices"]] == ["a", "c"]
    assert [one["file"] for one in answer["rejects"]] == ["b"]
    assert not any(one["notes"] for one in answer["slices"])
