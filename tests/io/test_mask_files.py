"""Masks among pictures: told by name, content and picture, never by one of them alone."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.scan import scan
from gliascope.errors import NotAnImageError
from gliascope.io import read
from gliascope.io.mask_files import FolderListings, check_mask

Write = Callable[[str], Path]
NOISE = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
MASK = np.zeros((40, 40), np.uint8)
MASK[10:20, 12:25] = 255


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, pixels: np.ndarray = NOISE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if ".nii" in name:
            volume = np.stack([pixels.astype(np.int16)] * 6, axis=-1)
            volume[..., 0] = 0
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
        else:
            Image.fromarray(pixels).save(path)
        return path

    return write


def is_mask(path: Path) -> bool:
    try:
        check_mask(path, read(path), FolderListings())
    except NotAnImageError as error:
        assert error.reason == "mask, not a slice"
        return True
    return False


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("glioma/im0001.tif", "glioma/im0001_mask.tif"),
        ("glioma/im0001.png", "glioma/im0001-mask.png"),
        ("glioma/im0001.jpg", "glioma/mask_im0001.png"),
        ("glioma/im0001.png", "glioma/im0001_Segmentation.png"),
        ("glioma/image_7.png", "glioma/label_7.png"),
        ("glioma/lesion7.png", "glioma/lesion7_mask.png"),
        ("glioma/患者一.png", "glioma/患者一_mask.png"),
        ("glioma/im1.jpg", "glioma/im1_mask.jpg"),  # compressed, so that it has many levels
        ("glioma/a.png", "glioma/masks/a.png"),
        ("glioma/images/a.png", "glioma/masks/a.png"),
        ("images/glioma/a.jpg", "masks/glioma/a.png"),
        ("images/glioma/a.jpg", "labels/glioma/a_seg.png"),
        ("glioma/P-000/P-000-t1c.nii.gz", "glioma/P-000/P-000-seg.nii.gz"),
        ("glioma/p6/Flair_subtr.nii.gz", "glioma/p6/OTMultiClass.nii.gz"),
        ("glioma/02/Pre_Scan_T1.nii.gz", "glioma/02/Pre_Mask.nii"),
        ("imagesTr/B_001_0000.nii.gz", "labelsTr/B_001.nii.gz"),
        ("sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_dseg.nii.gz"),
        ("sub-1/anat/sub-1_T1w.nii.gz", "derivatives/manual/sub-1/anat/sub-1_label-lesion_mask.nii.gz"),
    ],
)
def test_a_mask_is_told_by_its_picture_whatever_the_layout(write: Write, picture: str, mask: str) -> None:
    shown, outline = write(picture, NOISE), write(mask, MASK)
    assert is_mask(outline)
    assert not is_mask(shown)


def test_the_picture_is_named(write: Write) -> None:
    write("a/im1.png")
    path = write("a/im1_mask.png", MASK)
    with pytest.raises(NotAnImageError, match=r"mask, not a slice \(of im1.png\)"):
        check_mask(path, read(path), FolderListings())


def test_colours_and_several_labels_are_few_levels(write: Write) -> None:
    colours = np.zeros((40, 40, 3), np.uint8)
    colours[10:20] = 255, 0, 0
    colours[25:30] = 0, 128, 7
    write("a/im1.png")
    write("a/im2.png")
    assert is_mask(write("a/im1_mask.png", colours))
    assert is_mask(write("a/im2_mask.png", (NOISE // 64).astype(np.uint8)))
    assert is_mask(write("a/im2_seg.png", np.zeros_like(MASK)))  # of a slice without a lesion


def test_a_real_picture_is_none_whatever_its_name(write: Write) -> None:
    write("a/patient3.png")
    assert not is_mask(write("a/patient_mask3.png", NOISE.T.copy()))
    assert not is_mask(write("segmentation/images/x.png"))


FEW = (NOISE // 32).astype(np.uint8)  # levels that a faint slice has, too


def test_few_levels_are_none_without_a_picture(write: Write) -> None:
    assert not is_mask(write("a/im1_mask.png", FEW))
    assert not is_mask(write("a/drawing.png", MASK))
    write("b/im1.png", NOISE[:20])
    assert not is_mask(write("b/im1_mask.png", FEW))  # of another size
    write("c/im2.png")
    assert not is_mask(write("c/im1_mask.png", FEW))  # of another name
    write("d/im1_mask.txt.png")
    assert not is_mask(write("d/im1_mask.png", FEW))  # beside another mask only


def test_so_few_levels_that_it_is_no_scan_need_no_picture(write: Write) -> None:
    assert is_mask(write("a/im1_mask.png", MASK))
    write("b/im1.png", NOISE[:20])
    assert is_mask(write("b/im1_mask.png", MASK))  # of another size
    assert is_mask(write("b/im3_mask.jpg", MASK))  # compressed, so that it has many levels
    assert is_mask(write("c/GTV.nii.gz", MASK))
    assert not is_mask(write("c/T1.nii.gz", NOISE))
    assert not is_mask(write("a/im2_mask.png", np.zeros_like(MASK)))  # blank, which a slice may be


@pytest.mark.parametrize("name", ["7_tumour", "7_manual1", "7-annot", "7_m"])
def test_a_drawing_named_as_a_picture_and_more_is_its_mask(write: Write, name: str) -> None:
    write("glioma/7.png")
    assert is_mask(write(f"glioma/{name}.png", MASK))
    assert not is_mask(write("glioma/8_tumour.png", MASK))
    assert not is_mask(write("glioma/7_1.png", FEW))


def test_a_label_map_by_its_header(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    image.header["intent_code"] = 1002
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(NotAnImageError, match="segmentation, not a slice"):
        check_mask(tmp_path / "a.nii", read(tmp_path / "a.nii"), FolderListings())


def test_scan_sets_masks_aside(write: Write, tmp_path: Path) -> None:
    for label in ("glioma", "no_tumor"):
        for number in range(4):
            write(f"set/{label}/im{number}.png", np.roll(NOISE, number + len(label)))
    for number in range(4):
        write(f"set/glioma/im{number}_mask.png", MASK)
    catalog = scan([tmp_path / "set"])
    assert dict(catalog.frame["label"].value_counts().rows()) == {"glioma": 4, "no_tumor": 4}
    assert catalog.excluded["reason"].unique().to_list() == ["mask, not a slice"]
    assert (
        catalog.excluded.filter(pl.col("path").str.ends_with("im2_mask.png"))["detail"].item() == "of im2.png"
    )
    ran = CliRunner().invoke(app, ["scan", str(tmp_path / "set"), "--out", str(tmp_path / "c.parquet")])
    assert ran.exit_code == 0
    assert "mask, not a slice" in ran.output
