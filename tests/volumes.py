"""One volume as the files of every door, in one orientation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from making import Make, dataset
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRBigEndian, ImplicitVRLittleEndian

SLICES, SIDE = 12, 40
SERIES = "1.2.826.0.1.3680043.8.498.7"


def head(seed: int = 0, lesion: int = 7) -> np.ndarray:
    """Stored values of 12 bits, (slices, rows, columns) uint16: a head whose bright lesion is in one slice."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - 19) ** 2 / 15**2 + (columns - 21) ** 2 / 12**2 < 1
    volume = np.where(
        inside, rng.normal(400, 60, (SLICES, SIDE, SIDE)), rng.normal(12, 4, (SLICES, SIDE, SIDE))
    )
    if lesion >= 0:
        volume[lesion, 14:22, 20:28] = rng.normal(1500, 80, (8, 8))
    return volume.clip(0, 4095).astype(np.uint16)


def instance(make: Make, volume: np.ndarray, index: int, **elements: Any) -> Dataset:
    """A slice as a classic DICOM data set of one series."""
    facts = {
        "SeriesInstanceUID": SERIES, "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.6", "PatientID": "p",
        "BitsStored": 12, "HighBit": 11, "InstanceNumber": index + 1,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, index],
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    }  # fmt: skip
    one = make.dataset(volume[index], **(facts | elements))
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.{index + 1}"
    return one


def save(make: Make, one: Dataset, path: Path | None = None) -> Path:
    written = make.save(one)
    return written if path is None else move(written, path)


def move(file: Path, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return file.rename(path)


def files(make: Make, volume: np.ndarray, **elements: Any) -> list[Path]:
    """Classic DICOM files, one a slice, from inferior to superior."""
    return [save(make, instance(make, volume, index, **elements)) for index in range(len(volume))]


def in_syntax(make: Make, volume: np.ndarray, syntax: str) -> list[Path]:
    """The same in another byte order or encoding."""
    result = []
    for index in range(len(volume)):
        one = instance(make, volume, index)
        path = make.path()
        if syntax == "big endian":
            one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            one.PixelData = volume[index].astype(">u2").tobytes()
            one.save_as(path, enforce_file_format=True)
        else:
            one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            one.save_as(path, enforce_file_format=True)
        result.append(path)
    return result


def enhanced(make: Make, volume: np.ndarray, **elements: Any) -> Path:
    """One multi-frame file."""
    one = instance(make, volume, 0)
    many = make.dataset(
        volume, frames=len(volume), **{name: one[name].value for name in ("BitsStored", "HighBit")}
    )
    for name in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
        setattr(many, name, one[name].value)
    many.SOPClassUID = many.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    if elements:
        transformed = dataset(PixelValueTransformationSequence=[dataset(**elements)])
        many.SharedFunctionalGroupsSequence = [transformed]
    return make.save(many)


def nifti(make: Make, volume: np.ndarray, **fields: Any) -> Path:
    """The same slices, which `nifti.read` turns from RAS+ into radiological convention."""
    stored = np.ascontiguousarray(volume.transpose(2, 1, 0)[::-1, ::-1])
    return make.nifti(stored, affine=np.eye(4), **fields)


Door = Callable[[Make, np.ndarray], list[Path]]
