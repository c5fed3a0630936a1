"""Localizers, derived maps and masks among the files of one request."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from making import Make
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage
from served import send

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom")

NOISE = np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def mask(seed: int = 0) -> bytes:
    return png(np.roll(NOISE > 200, seed).astype(np.uint8) * 255)


def test_localizers_and_captures_have_no_say(client: TestClient, tmp_path: Path) -> None:
    make = Make(tmp_path)
    kinds: list[dict] = [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {},
        {"SOPClassUID": SecondaryCaptureImageStorage},
        {},
    ]
    contents = [
        make.dicom(np.roll(NOISE, number), StudyInstanceUID="1.2.3", **elements).read_bytes()
        for number, elements in enumerate(kinds)
    ]
    told = client.post("/v1/predict", files=send(*(("x.dcm", one) for one in contents))).json()
    assert [one["kind"] for one in told["slices"]] == ["localizer", None, "secondary capture", None]
    ordinary = client.post("/v1/predict", files=send(*(("x.dcm", one) for one in contents[1::2]))).json()
    (study,), (alone,) = told["studies"], ordinary["studies"]
    assert study["slices"] == alone["slices"] == 2
    assert study["probabilities"] == alone["probabilities"]


def test_masks_are_set_aside_in_whatever_order_they_come(client: TestClient) -> None:
    files = [("a_mask.png", mask()), ("b_mask.png", mask(3)), ("lone_mask.png", mask(5))]
    files += [("a_tumour.png", mask(7))]
    files += [
        ("a.png", png(NOISE)),
        ("b.png", png(NOISE.T.copy())),
        ("real_mask.png", png(NOISE[::-1].copy())),
    ]
    files += [("real.png", png(NOISE[:, ::-1].copy()))]
    told = client.post("/v1/predict", files=send(*files)).json()
    assert {(one["file"], one["reason"], one["detail"]) for one in told["rejects"]} == {
        ("a_mask.png", "mask, not a slice", "of a.png"),
        ("b_mask.png", "mask, not a slice", "of b.png"),
        ("lone_mask.png", "mask, not a slice", "of a picture that is not here"),
        ("a_tumour.png", "mask, not a slice", "of a.png"),
    }
    assert {one["file"] for one in told["slices"]} == {
        "a.png",
        "b.png",
        "real.png",
        "real_mask.png",
    }


def test_masks_of_a_zip_with_folders(client: TestClient) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(12):
            archive.writestr(f"segmentation/masks/{number}.png", mask(number))
        for number in range(12):
            archive.writestr(f"segmentation/images/{number}.png", png(np.roll(NOISE, number)))
    told = client.post("/v1/predict", files=send(("all.zip", content.getvalue()))).json()
    assert len(told["slices"]) == len(told["rejects"]) == 12
    assert {one["reason"] for one in told["rejects"]} == {"mask, not a slice"}
