"""Data sets of pydicom and images of nibabel say what their files do."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import volumes
from doors import DEEP, HEAD, SIGNED, said
from making import Make
from PIL import Image

from gliascope import Model
from gliascope.errors import (
    DamagedFileError,
    InputError,
    NotAnImageError,
    ReadError,
)
from gliascope.io.scales import SINGLE_SLICE_NOTE


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_dataset_says_what_its_file_does(model: Model, make: Make, photometric: str, signed: bool) -> None:
    stored = SIGNED.astype(np.int16) if signed else DEEP
    facts = {"RescaleSlope": 2, "RescaleIntercept": -10, "WindowCenter": 700, "WindowWidth": 1600}
    file = make.dicom(stored, PhotometricInterpretation=photometric, **facts)
    expected = model.predict(file)
    dataset = pydicom.dcmread(file)
    for one in (dataset, make.dataset(stored, PhotometricInterpretation=photometric, **facts)):
        finding = model.predict(one)
        assert said(finding) == said(expected)
        assert finding.notes == expected.notes
        assert finding.file == Path("<dataset>")
    assert dataset == pydicom.dcmread(file)


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000", "big endian", "implicit", "bare", "palette"])
def test_a_dataset_of_any_syntax_says_what_its_file_does(model: Model, make: Make, syntax: str) -> None:
    if syntax == "rle":
        file = make.dicom_rle(DEEP)
    elif syntax == "jpeg2000":
        file = make.dicom_pillow(DEEP)
    elif syntax == "palette":
        shades = {
            f"{name}PaletteColorLookupTableDescriptor": [256, 0, 8] for name in ("Red", "Green", "Blue")
        }
        tables = {
            f"{name}PaletteColorLookupTableData": bytes(
                np.arange(256, dtype=np.uint8)[:: 1 if name == "Red" else -1]
            )
            for name in ("Red", "Green", "Blue")
        }
        file = make.dicom(HEAD, PhotometricInterpretation="PALETTE COLOR", **shades, **tables)
    elif syntax == "bare":
        file = make.path()
        dataset = make.dataset(DEEP)
        del dataset.file_meta
        dataset.save_as(file, implicit_vr=True, little_endian=True)
    else:
        file = volumes.in_syntax(make, DEEP[None], syntax)[0]
    expected = said(model.predict(file))
    assert said(model.predict(pydicom.dcmread(file, force=True))) == expected


def test_a_dataset_that_another_process_decodes_leaves_no_file(
    model: Model, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    file = make.gdcm(DEEP, "JPEGLosslessProcess14_1")
    finding = model.predict(pydicom.dcmread(file))
    assert said(finding) == said(model.predict(file))
    assert finding.file == Path("<dataset>")
    broken = pydicom.dcmread(file)
    broken.Rows = 7
    with pytest.raises(DamagedFileError, match=r"^<dataset>: DICOM frame does not have the size") as caught:
        model.predict(broken)
    assert caught.value.path == Path("<dataset>")
    assert not list((tmp_path / "temporary").iterdir())


def test_datasets_of_a_series_share_a_scale_as_their_files_do(model: Model, make: Make) -> None:
    files = volumes.files(make, volumes.head())
    together = model.predict(files)
    datasets = [pydicom.dcmread(file) for file in files]
    assert [said(one) for one in model.predict(datasets)] == [said(one) for one in together]
    assert not any(one.notes for one in together)
    assert model.predict(datasets[0]).notes == model.predict(files[0]).notes == (SINGLE_SLICE_NOTE,)


def test_a_dataset_that_cannot_be_read_is_refused(model: Model, make: Make) -> None:
    dataset = make.dataset(DEEP)
    del dataset.file_meta
    with pytest.raises(InputError, match=r"set file_meta.TransferSyntaxUID"):
        model.predict(dataset)
    without = make.dataset(DEEP)
    del without.PixelData
    with pytest.raises(NotAnImageError, match="<dataset 1>: DICOM without pixel data"):
        model.predict([make.dataset(DEEP), without])


def test_what_holds_several_slices_goes_to_predict_study(model: Model, make: Make, tmp_path: Path) -> None:
    volume = volumes.head()
    enhanced, nifti = volumes.enhanced(make, volume), volumes.nifti(make, volume)
    pages = tmp_path / "pages.tiff"
    Image.fromarray(volume[0]).save(
        pages, save_all=True, append_images=[Image.fromarray(one) for one in volume[1:]]
    )
    for several in (
        enhanced,
        pydicom.dcmread(enhanced),
        nifti,
        nibabel.Nifti1Image.from_bytes(nifti.read_bytes()),
        pages,
    ):
        with pytest.raises(InputError, match="holds 12 slices; give it to predict_study"):
            model.predict(several)
        assert len(model.predict_study(several).slices) == 12
    with pytest.raises(InputError, match="a TIFF of several pages"):
        model.predict(Image.open(pages))
    with pytest.raises(InputError, match="is a folder; give it to predict_study"):
        model.predict(tmp_path)
    with pytest.raises(ReadError, match="not found"):
        model.predict(tmp_path / "none.png")


AFFINES = [
    np.eye(4),
    np.diag([-1, -1, 3, 1]),
    np.array([[0, 0, 4, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]),
]


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("slope", [None, 0.5])
def test_a_nibabel_image_says_what_its_file_does(
    model: Model, tmp_path: Path, affine: np.ndarray, slope: float | None
) -> None:
    stored = volumes.head().transpose(2, 1, 0).astype(np.int16)
    image = nibabel.Nifti1Image(stored, affine)
    if slope:
        image.header.set_slope_inter(slope, 7)
    for name in ("v.nii.gz", "v.nii"):
        nibabel.save(image, tmp_path / name)
        expected = model.predict_study(tmp_path / name)
        found = model.predict_study(nibabel.load(tmp_path / name))
        assert [said(one) for one in found.slices] == [said(one) for one in expected.slices]
        assert said(found) == said(expected)
    if slope is None:
        assert said(model.predict_study(image)) == said(expected)
    header = image.header.copy()
    model.predict_study(image)
    assert image.header == header


def test_a_moved_affine_counts_also_where_the_header_lags_behind(model: Model, tmp_path: Path) -> None:
    stored = volumes.head().transpose(2, 1, 0).astype(np.int16)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.affine[:] = AFFINES[2]
    nibabel.save(image, tmp_path / "v.nii")
    again = nibabel.Nifti1Image(stored, np.eye(4))
    again.affine[:] = AFFINES[2]
    expected = model.predict_study(tmp_path / "v.nii")
    assert [said(one) for one in model.predict_study(again).slices] == [said(one) for one in expected.slices]


def test_other_images_of_nibabel_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match=r"got MGHImage; give nibabel.Nifti1Image.from_image\(x\)"):
        model.predict_study(nibabel.MGHImage(np.zeros((9, 9, 9), np.float32), np.eye(4)))
    with pytest.raises(NotAnImageError, match="4-D volume"):
        model.predict_study(nibabel.Nifti1Image(np.zeros((9, 9, 9, 2), np.float32), np.eye(4)))
