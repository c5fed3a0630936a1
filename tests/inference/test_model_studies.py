"""A study is never guessed, and the same whatever holds its slices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import volumes
from doors import HEAD, said
from making import Make
from PIL import Image

import gliascope
from gliascope import Model
from gliascope.errors import (
    InputError,
    NotAnImageError,
)
from gliascope.inference.predict_files import predict_files


def test_an_array_of_slices_says_what_the_same_slices_do(model: Model, make: Make) -> None:
    volume = volumes.head()
    expected = model.predict_study(volumes.nifti(make, volume))
    for study, axis in (
        (volume, 0),
        (volume, -3),
        (np.moveaxis(volume, 0, 1), 1),
        (np.moveaxis(volume, 0, 2), -1),
    ):
        found = model.predict_study(study, axis=axis, spacing=(1, 1, 1))
        assert [said(one) for one in found.slices] == [said(one) for one in expected.slices]
        assert said(found) == said(expected)
        assert any("nibabel" in note for note in found.notes) == (axis == -1)
    listed = model.predict_study(list(volume))
    images = model.predict_study([Image.fromarray(one) for one in volume])
    for found in (listed, images):
        assert [said(one) for one in found.slices] == [said(one) for one in expected.slices]


def test_a_study_of_files_datasets_and_slices_is_one(model: Model, make: Make, tmp_path: Path) -> None:
    volumes.files(make, volumes.head())
    files = sorted(make.folder.iterdir())
    expected = model.predict_study(make.folder)
    for study in (
        files,
        [pydicom.dcmread(file) for file in files],
        gliascope.read(make.folder),
        str(make.folder),
    ):
        found = model.predict_study(study)
        assert said(found) == said(expected)
        assert [said(one) for one in found.slices] == [said(one) for one in expected.slices]
    told = predict_files(model.bundle, [make.folder]).findings
    assert said(told[-1]) == said(expected)
    assert [said(replace(one, map=None)) for one in told[:-1]] == [
        said(replace(one, map=None)) for one in expected.slices
    ]


STUDIES: list[tuple[Callable[[np.ndarray], tuple[Any, dict[str, Any]]], str]] = [
    (lambda volume: (volume, {}), "does not say along which axis"),
    (lambda volume: (volume, {"axis": 3}), "axis: expected 0, 1 or 2"),
    (lambda volume: (volume, {"axis": True}), "axis: expected 0, 1 or 2"),
    (lambda volume: (volume, {"axis": 0.0}), "axis: expected 0, 1 or 2"),
    (
        lambda volume: (volume, {"axis": 0, "spacing": (1, 1)}),
        "three numbers, mm between voxels .* but got 2",
    ),
    (lambda volume: (volume, {"axis": 0, "spacing": (0.001, 0.001, 0.001)}), "each from 0.01 to 100"),
    (lambda volume: (volume, {"axis": 0, "spacing": (1, -1, 1)}), "each from 0.01 to 100"),
    (lambda volume: (volume, {"axis": 0, "spacing": (1, np.nan, 1)}), "each from 0.01 to 100"),
    (lambda volume: (volume, {"axis": 0, "spacing": 1.0}), "but got 1.0"),
    (lambda volume: (volume[0], {"axis": 0}), r"one picture goes to predict\(x\)"),
    (lambda volume: (volume[..., None], {"axis": 0}), "give one volume"),
    (lambda volume: (volume > 500, {"axis": 0}), "booleans"),
    (lambda volume: ((volume > 500).astype(np.uint8), {"axis": 0}), "as a mask does"),
    (lambda volume: (list((volume > 500).astype(np.uint8)), {}), "as a mask does"),
    (lambda volume: ([], {}), "an empty list"),
    (lambda volume: (list(volume), {"axis": 0}), "axis and spacing are of an array"),
    (lambda volume: ("folder", {"spacing": (1, 1, 1)}), "axis and spacing are of an array"),
    (lambda volume: ([volume[0], "a.png"], {}), "slices of one sort"),
    (lambda volume: (Image.fromarray(volume[0]), {}), "one picture is no study"),
    (lambda volume: (volume.tolist(), {}), "got list"),
]


@pytest.mark.parametrize(("ask", "message"), STUDIES)
def test_a_study_is_never_guessed(model: Model, ask: Any, message: str) -> None:
    study, options = ask(volumes.head())
    with pytest.raises(InputError, match=message):
        model.predict_study(study, **options)


def test_pixels_that_are_no_squares_are_told(model: Model) -> None:
    found = model.predict_study(np.moveaxis(volumes.head(), 0, 1), axis=0, spacing=(1, 5, 1))
    assert any("5 × 1 mm" in note for note in found.notes)


def test_two_studies_are_not_one(model: Model, make: Make, tmp_path: Path) -> None:
    volumes.files(make, volumes.head())
    make.image(HEAD, "png")
    with pytest.raises(InputError, match="1 study and slices that name none; give those of one study"):
        model.predict_study(make.folder)
    other = Make(tmp_path)
    volumes.nifti(other, volumes.head())
    volumes.nifti(other, volumes.head(1))
    for name in (lambda file: [file], gliascope.read):
        with pytest.raises(InputError, match="slices of 2 studies"):
            model.predict_study([*name(tmp_path / "file1"), *name(tmp_path / "file2")])


def test_files_of_a_folder_that_cannot_be_used_are_named(model: Model, make: Make) -> None:
    files = volumes.files(make, volumes.head())
    bad = make.bytes(b"no picture")
    study = model.predict_study(make.folder)
    assert [error.path for error in study.excluded] == [bad]
    assert "12 slices, 1 excluded" in repr(study)
    assert "1 file excluded" in study._repr_html_()
    with pytest.raises(NotAnImageError):
        model.predict_study([*files, bad])
    with pytest.raises(NotAnImageError):
        model.predict([*files, bad])
    with pytest.warns(UserWarning, match="1 of 13 files could not be read"):
        assert len(gliascope.read(make.folder)) == 12
    with pytest.raises(NotAnImageError):
        gliascope.read(bad)


def test_localizers_alone_are_no_study(model: Model, make: Make) -> None:
    files = volumes.files(make, volumes.head()[:2], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(InputError, match="holds no ordinary slice of a study, but only localizer"):
        model.predict_study(files)
