"""`python -m benchmarks cases`: inputs that once went wrong, each held against what is right.

They lie in GLIASCOPE_CASES, or in cases/ beside the folder of slices. What is right was worked out without
this code, and is written here as it is in their README. If one comes out wrong, the command ends with exit
code 1.
"""

import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from benchmarks.measure import Row
from gliascope.dataset.catalog import Catalog
from gliascope.errors import GliascopeError
from gliascope.io import read

Check = tuple[str, object, object]  # what, right, got


def cases(data: Path, work: Path) -> Iterator[Row]:
    """A row for each check; the command fails at the end where one is wrong."""
    folder = Path(os.environ.get("GLIASCOPE_CASES") or data.parent / "cases")
    if not folder.is_dir():
        sys.exit(f"{folder}: not found; set GLIASCOPE_CASES to the folder of cases")
    wrong = 0
    for case in CASES:
        for what, right, got in _checks(case, folder, work):
            wrong += right != got
            yield (
                f"{case.__name__.replace('_', '-')}: {what}",
                f"{got}" + ("" if right == got else "  WRONG"),
                f"{right}",
            )
    if wrong:
        sys.exit(f"{wrong} checks came out wrong")


def _checks(case: Callable[[Path, Path], Iterator[Check]], folder: Path, work: Path) -> Iterator[Check]:
    try:
        yield from case(folder, work)
    except Exception as error:  # a case that ends in a traceback has gone wrong like any other
        yield "an error", "none", f"{type(error).__name__}: {error}"


def labels_not_latin(folder: Path, work: Path) -> Iterator[Check]:
    names = ["胶质瘤", "脑膜瘤", "垂体瘤"]
    source = _pictures(work / "latin", dict.fromkeys(names, 3))
    mapping = work / "labels.yaml"
    mapping.write_text("胶质瘤: glioma\n脑膜瘤: meningioma\n垂体瘤: pituitary\n", encoding="utf-8")
    yield (
        "three classes by --labels",
        {"glioma": 3, "meningioma": 3, "pituitary": 3},
        _counts(source, work, mapping),
    )
    source = _pictures(work / "mgmt", {"MGMT+": 3, "MGMT-": 3})
    mapping.write_text("MGMT+: methylated\nMGMT-: unmethylated\n", encoding="utf-8")
    yield "MGMT+ and MGMT-", {"methylated": 3, "unmethylated": 3}, _counts(source, work, mapping)
    source = _pictures(work / "own", {"a": 3, "b": 3})
    mapping.write_text("a: 胶质瘤\nb: 脑膜瘤\n", encoding="utf-8")
    yield "classes named in such letters", {"胶质瘤": 3, "脑膜瘤": 3}, _counts(source, work, mapping)
    source = _pictures(work / "nfd", {unicodedata.normalize("NFD", "Tumör"): 3, "frei": 3})
    mapping.write_text(unicodedata.normalize("NFC", "Tumör: tumor\nfrei: no_tumor\n"), encoding="utf-8")
    yield "a folder in NFD, the mapping in NFC", {"tumor": 3, "no_tumor": 3}, _counts(source, work, mapping)


def masks_as_slices(folder: Path, work: Path) -> Iterator[Check]:
    found = _counts(folder / "masks-as-slices" / "lgg", work)
    yield "lgg", {"glioma": 6, "meningioma": 6, "no_tumor": 6}, found
    catalog = _scan(folder / "masks-as-slices" / "brats", work)
    if isinstance(catalog, str):
        yield "brats", "a catalogue", catalog
        return
    files = catalog.frame.unique("path")
    yield (
        "brats, volumes a patient",
        [4, 4, 4, 4],
        files["patient"].value_counts().sort("count")["count"].to_list(),
    )
    yield "brats, patients that lie in one folder", True, _one_folder(files)


def _one_folder(files: pl.DataFrame) -> bool:
    folder = files.with_columns(folder=pl.col("path").str.replace(r"/[^/]*$", ""))
    return (
        folder["patient"].null_count() == 0
        and folder.select("folder", "patient").n_unique() == folder["folder"].n_unique()
    )


def csv_labels_brain_tumor(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "csv-labels-brain-tumor"
    right = {"no_tumor": 11, "tumor": 11}
    for what, sources in (("as one source", [case]), ("as two", [case / "Brain Tumor", case / "other"])):
        got = _counts(sources, work)
        yield (
            what,
            "these counts, or an error",
            "these counts, or an error" if isinstance(got, str) or got == right else got,
        )


def patient_folders_leak(folder: Path, work: Path) -> Iterator[Check]:
    yield "patients in two subsets", 0, _cut(folder / "patient-folders-leak" / "set", work, "folder")


def anonymous_patient_id(folder: Path, work: Path) -> Iterator[Check]:
    yield "studies in two subsets", 0, _cut(folder / "anonymous-patient-id" / "set", work, "study")


def _cut(source: Path, work: Path, key: str) -> object:
    """How many patients the protocol `grouped` puts into more than one subset; an error in words."""
    catalog = _scan(source, work)
    if isinstance(catalog, str):
        return catalog
    out = work / "split.parquet"
    asked = _gliascope("split", work / "catalog.parquet", "--protocol", "grouped", "--out", out)
    if asked.returncode:
        return asked.stderr.strip()
    rows = pl.read_parquet(out.read_bytes()).filter(pl.col("subset").is_not_null())
    rows = rows.join(catalog.frame.select("path", "index", "study"), on=["path", "index"])
    rows = rows.with_columns(folder=pl.col("path").str.replace(r"/[^/]*$", ""))
    subsets = rows.group_by(key).agg(pl.col("subset").n_unique())
    return subsets.filter(pl.col("subset") > 1).height


def dicom_pixel_padding(folder: Path, work: Path) -> Iterator[Check]:
    yield from _like(
        folder / "dicom-pixel-padding", "reference.dcm", ["padding.dcm", "padding_unsigned.dcm"], 147
    )


def dicom_missing_slope(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "dicom-missing-slope"
    yield from _like(case, "reference.dcm", ["no_slope.dcm", "empty_slope.dcm", "no_slope_no_window.dcm"], 51)
    yield "mr_slope_only.dcm, brightest", 255, int(read(case / "mr_slope_only.dcm")[0].pixels.max())


def dicom_useless_window(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "dicom-useless-window"
    for name in ("black.dcm", "white.dcm", "stale8.dcm"):
        (item,) = read(case / name)
        levels = 146 if name == "stale8.dcm" else 147  # as many as it stores
        yield f"{name}, grey levels", levels, _levels(item.pixels)
        yield f"{name}, said", True, bool(item.notes)


def dicom_voi_lut_first_value(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "dicom-voi-lut-first-value"
    names = ["implicit.dcm", "signed_explicit.dcm", "unsigned_explicit.dcm"]
    yield from _like(case, "unsigned_explicit.dcm", names, 51)


def dicom_not_an_anatomical_slice(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "dicom-not-an-anatomical-slice"
    for name in ("seg.dcm", "dose.dcm", "mosaic.dcm"):
        try:
            read(case / name)
            yield name, "set aside", "a slice like any other"
        except GliascopeError:
            yield name, "set aside", "set aside"
    yield "localizer.dcm", "localizer", read(case / "localizer.dcm")[0].kind


def dicom_small_faults(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "dicom-small-faults"
    yield from _like(case, "reference.dcm", ["highbit15.dcm", "lower.dcm", "no_spp.dcm", "nodicm.dcm"], None)


def nifti_mr_negative_background(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "nifti-mr-negative-background"
    for name in ("pad.nii.gz", "pad32768.nii.gz"):
        slices, reference = read(case / name), read(case / "reference.nii.gz")
        inside = [
            a.pixels[b.pixels > 0].astype(int) - b.pixels[b.pixels > 0]
            for a, b in zip(slices, reference, strict=True)
        ]
        yield f"{name}, modality", reference[0].modality, slices[0].modality
        yield (
            f"{name}, within 2 grey levels of the reference",
            True,
            bool(np.abs(np.concatenate(inside)).max() <= 2),
        )


def nifti_sagittal_thick(folder: Path, work: Path) -> Iterator[Check]:
    slices = read(folder / "nifti-sagittal-thick" / "sagittal.nii.gz")
    yield "slices", 16, len(slices)
    yield "plane", "sagittal", slices[0].plane


def nifti_sform_zero(folder: Path, work: Path) -> Iterator[Check]:
    yield from _like(folder / "nifti-sform-zero", "reference.nii", ["sform0.nii", "pixdim0.nii"], None)


def raster_deep_colour(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "raster-deep-colour"
    yield from _like(case, "grey12.png", ["rgb12.png"], 157)  # as many as it stores
    for name in ("f32rgb.tif", "f64.tif"):
        try:
            got = "read" if _levels(read(case / name)[0].pixels) > 2 else "nothing to see"
        except GliascopeError as error:
            got = "refused" if "damaged" not in str(error) else str(error)
        yield name, "read, or refused", "read, or refused" if got in ("read", "refused") else got


def long_file_name(folder: Path, work: Path) -> Iterator[Check]:
    source = _pictures(work / "long", {"glioma": 3, "no_tumor": 3})
    shutil.copy(source / "glioma" / "0.png", source / "glioma" / ("n" * 234 + ".png"))
    _pixel(source / "glioma" / ("n" * 234 + ".png"))
    catalog = _scan(source, work)
    if isinstance(catalog, str):
        yield "scan", "a catalogue", catalog
        return
    done = _gliascope("export-dataset", work / "catalog.parquet", "--out", work / "exported")
    yield "export-dataset", "", done.stderr.strip() if done.returncode else ""
    yield (
        "exported slices",
        7,
        len([path for path in (work / "exported").rglob("*.*") if path.suffix in (".png", ".jpg")]),
    )


def _pixel(file: Path) -> None:
    """Change one, so that the picture is no copy."""
    pixels = np.array(Image.open(file))
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save(file)


def figshare_v5_mat(folder: Path, work: Path) -> Iterator[Check]:
    case = folder / "figshare-v5-mat"
    try:
        got = f"{len(read(case / 'v5.mat'))} slice"
    except GliascopeError as error:
        got = "1 slice" if "v7.3" in str(error) else str(error)
    yield "v5.mat is read, or the remedy is named", "1 slice", got
    (item,) = read(case / "pid_text.mat")
    yield "pid_text.mat has a patient", True, item.patient is not None


CASES = (
    labels_not_latin, masks_as_slices, csv_labels_brain_tumor, patient_folders_leak, anonymous_patient_id,
    dicom_pixel_padding, dicom_missing_slope, dicom_useless_window, dicom_voi_lut_first_value,
    dicom_not_an_anatomical_slice, dicom_small_faults, nifti_mr_negative_background, nifti_sform_zero,
    nifti_sagittal_thick, raster_deep_colour, long_file_name, figshare_v5_mat,
)  # fmt: skip


def _like(case: Path, reference: str, names: list[str], levels: int | None) -> Iterator[Check]:
    """Pixels are those of the reference, and have so many grey levels."""
    right = read(case / reference)
    if levels is not None:
        yield f"{reference}, grey levels", levels, _levels(right[0].pixels)
    for name in names:
        slices = read(case / name)
        same = len(slices) == len(right) and all(
            np.array_equal(a.pixels, b.pixels) for a, b in zip(slices, right, strict=True)
        )
        yield f"{name} as {reference}", True, same


def _levels(pixels: np.ndarray) -> int:
    return len(np.unique(pixels))


def _pictures(folder: Path, classes: dict[str, int]) -> Path:
    """Class folders of noise."""
    generator = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(generator.integers(0, 256, (64, 64), dtype=np.uint8)).save(
                folder / name / f"{number}.png"
            )
    return folder


def _counts(sources: Path | list[Path], work: Path, labels: Path | None = None) -> dict[str, int] | str:
    """Slices of each class, or the error that `scan` ends with."""
    catalog = _scan(sources, work, labels)
    return (
        catalog
        if isinstance(catalog, str)
        else dict(catalog.frame["label"].value_counts().sort("label").rows())
    )


def _scan(sources: Path | list[Path], work: Path, labels: Path | None = None) -> Catalog | str:
    out = work / "catalog.parquet"
    shutil.rmtree(out, ignore_errors=True)
    sources = [sources] if isinstance(sources, Path) else sources
    done = _gliascope("scan", *sources, "--out", out, *(["--labels", labels] if labels else []))
    return Catalog.load(out) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def _gliascope(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gliascope", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
