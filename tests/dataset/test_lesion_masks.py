from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from gliascope.dataset.lesion_masks import masked_slices
from gliascope.errors import LayoutError, ReadError

HEADER = "path,mask,label"


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def square() -> np.ndarray:
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:9, 10:20] = True
    return mask


@pytest.mark.parametrize("kind", ["1-bit.png", "grey.png", "lossy.jpg", "labels.png"])
def test_masks_are_read_whatever_holds_them(tmp_path: Path, square: np.ndarray, kind: str) -> None:
    values = {
        "1-bit.png": square,
        "grey.png": (square * 255).astype(np.uint8),
        "lossy.jpg": (square * 255).astype(np.uint8),
        "labels.png": square.astype(np.uint8),
    }
    picture(tmp_path / "slices" / "a.png", np.full((20, 30), 90, dtype=np.uint8))
    picture(tmp_path / kind, values[kind])
    (tmp_path / "masks.csv").write_text(f"{HEADER}\nslices/a.png,{kind},Glioma_Tumor\n")
    (item,) = masked_slices(tmp_path / "masks.csv")
    assert item.mask is not None and np.array_equal(item.mask, square)
    assert (item.label, item.patient, item.path.name) == ("glioma", "slices/a.png", "a.png")


def test_a_volume_and_its_mask_are_turned_alike_and_empty_slices_left_out(tmp_path: Path) -> None:
    """The mask has another orientation on disk: what counts is where its voxels lie."""
    volume, mask = np.zeros((8, 9, 4), dtype=np.float32), np.zeros((8, 9, 4), dtype=np.uint8)
    volume[1:3, 5:8, 2] = 100
    volume[0, 0, 0] = 3
    mask[1:3, 5:8, 2] = 1
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "scan.nii.gz")
    flipped = nibabel.Nifti1Image(mask[::-1], np.diag([-1.0, 1, 1, 1]) + 7 * np.eye(4, k=3))
    nibabel.save(flipped, tmp_path / "mask.nii.gz")
    (tmp_path / "masks.csv").write_text(f"{HEADER},group\nscan.nii.gz,mask.nii.gz,glioma,patient 1\n")
    (item,) = masked_slices(tmp_path / "masks.csv")
    assert (item.index, item.patient) == (2, "patient 1")
    assert item.mask is not None and item.mask.sum() == 6
    assert np.array_equal(item.mask, item.pixels > 200)


def test_figshare_files_bring_their_own(tmp_path: Path, square: np.ndarray) -> None:
    for name, mask in (("1.mat", square), ("2.mat", ~square & square)):
        with h5py.File(tmp_path / name, "w") as file:
            file["cjdata/image"] = np.arange(600.0).reshape(20, 30).T
            file["cjdata/tumorMask"] = mask.astype(np.uint8).T
            file["cjdata/label"] = [[2.0]]
            file["cjdata/PID"] = [[49], [50]]
    (item,) = masked_slices(tmp_path)
    assert item.label == "glioma" and item.patient not in (None, "12")
    assert item.mask is not None and np.array_equal(item.mask, square)
    assert len(list(masked_slices(tmp_path / "1.mat"))) == 1


def test_the_first_are_a_sample_and_the_same_every_time(tmp_path: Path, square: np.ndarray) -> None:
    picture(tmp_path / "mask.png", square)
    for number in range(12):
        picture(tmp_path / f"{number:02}.png", np.full((20, 30), number, dtype=np.uint8))
    rows = [f"{number:02}.png,mask.png,glioma" for number in range(12)]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *rows]))
    (tmp_path / "b.csv").write_text("\n".join([HEADER, *rows[::-1]]))
    first, second = ([i.path.name for i in masked_slices(tmp_path / name)] for name in ("a.csv", "b.csv"))
    assert first == second
    assert len(set(first)) == 12 and first != sorted(first)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ("path,label\na.png,glioma\n", LayoutError, "expected rows with the columns path, mask, label"),
        (f"{HEADER}\na.png,,glioma\n", LayoutError, "none empty"),
        (f"{HEADER}\n", LayoutError, "expected rows"),
        (f"{HEADER}\na.png,small.png,glioma\n", LayoutError, "small.png: expected as many slices"),
        (f"{HEADER}\na.png,gone.png,glioma\n", ReadError, "gone.png: not found"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, table: str, error: type, message: str) -> None:
    for name, shape in (("a.png", (20, 30)), ("black.png", (20, 30)), ("small.png", (10, 30))):
        picture(tmp_path / name, np.zeros(shape, dtype=np.uint8))
    (tmp_path / "masks.csv").write_text(table)
    with pytest.raises(error, match=message):
        list(masked_slices(tmp_path / "masks.csv"))


def test_a_missing_table_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="not found; give a CSV with the columns path, mask, label"):
        list(masked_slices(tmp_path / "masks.csv"))


def test_tables_as_spreadsheets_and_other_machines_write_them(tmp_path: Path, square: np.ndarray) -> None:
    picture(tmp_path / "slices" / "a.png", np.full((20, 30), 90, dtype=np.uint8))
    picture(tmp_path / "mask.png", square)
    table = "Label; Mask ;Path;remark\nGlioma;.\\mask.png;C:\\data\\slices\\a.png;\n;;;\n"
    (tmp_path / "masks.csv").write_bytes(table.encode("utf-16"))
    (item,) = masked_slices(tmp_path / "masks.csv")
    assert (item.label, item.path.name) == ("glioma", "a.png")
