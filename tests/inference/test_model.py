"""A Model: the same answer through every door, and never a guess."""

import multiprocessing
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import volumes
import walkthrough
from making import Make
from PIL import Image
from quadrants import quadrant_bundle
from tiny import slice_image
from typer.testing import CliRunner

import gliascope
from gliascope import Finding, Model
from gliascope.cli import app
from gliascope.data.read.scales import ALONE
from gliascope.errors import (
    BundleError,
    DamagedFileError,
    ForkedError,
    GliascopeError,
    InputError,
    NotAnImageError,
    ReadError,
)
from gliascope.inference.bundle import Bundle
from gliascope.inference.job import predict_job


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(quadrant_bundle(slope=0.05))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "made").mkdir()
    return Make(tmp_path / "made")


def said(finding: Finding) -> tuple[Any, ...]:
    """All but where it is from."""
    map_ = None if finding.map is None else finding.map.round(3).tolist()
    probabilities = {name: round(value, 5) for name, value in finding.probabilities.items()}
    score = round(finding.outlier_score or 0, 5)
    return finding.label, finding.verdict, probabilities, score, finding.kind, map_


HEAD = np.asarray(slice_image(1, 3))
DEEP = volumes.head()[7]
COLOUR = np.stack([HEAD, HEAD // 2, 255 - HEAD], axis=-1)
SIGNED = DEEP.astype(np.int32) - 300


@pytest.mark.parametrize(
    ("array", "format_"),
    [
        (HEAD, "png"), (COLOUR, "png"), (np.repeat(HEAD[..., None], 3, -1), "png"), (DEEP, "png"), (SIGNED, "tiff"),
        ((DEEP / 4095).astype(np.float32), "tiff"), (np.zeros((40, 30), np.uint8), "png"), (HEAD[:, :1], "png"),
    ],
)  # fmt: skip
def test_an_array_an_image_and_their_file_say_the_same(
    model: Model, make: Make, array: np.ndarray, format_: str
) -> None:
    image = Image.fromarray(array)
    file = make.image(image, format_)
    expected = said(model.predict(file))
    assert said(model.predict(array)) == expected
    assert said(model.predict(image)) == expected
    assert said(model.predict(Image.open(file))) == expected
    assert said(model.predict(gliascope.read(file)[0])) == expected
    assert [said(one) for one in model.predict([str(file), array, image])] == [expected] * 3
    assert said(model.predict(np.asfortranarray(array))) == expected
    assert said(model.predict(array.astype(array.dtype.newbyteorder(">")))) == expected


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 7.5])
def test_the_unit_of_floats_makes_no_difference_and_a_note_says_what_was_done(
    model: Model, scale: float
) -> None:
    finding = model.predict(HEAD * np.float64(scale))
    assert said(finding) == said(model.predict(HEAD.astype(np.uint16)))
    assert any("give uint8" in note for note in finding.notes) == (scale <= 1)
    assert any("x * 255" in note for note in finding.notes) == (scale < 1)


def test_missing_and_negative_values_are_read_as_files_have_them(model: Model, make: Make) -> None:
    holed = DEEP.astype(np.float32)
    holed[:4], holed[5, 5] = np.nan, np.inf
    assert said(model.predict(holed)) == said(model.predict(make.image(holed, "tiff")))
    with pytest.raises(DamagedFileError, match="<array>: no finite value"):
        model.predict(np.full((20, 20), np.nan))


def test_hounsfield_units_get_the_brain_window_in_an_array_and_in_nifti(model: Model, make: Make) -> None:
    random = np.random.default_rng(0)
    scan = np.full((40, 40), -1000.0)
    scan[8:32, 8:32] = random.normal(35, 8, (24, 24))
    scan[8:20, 20:32] += 20
    expected = model.predict(
        make.nifti(scan.astype(np.int16)[::-1, ::-1].T[..., None].copy(), affine=np.eye(4))
    )
    finding = model.predict(scan.astype(np.int16))
    assert said(finding) == said(expected)
    assert any("Hounsfield" in note for note in finding.notes)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("P", {}), ("LA", {}), ("RGBA", {}), ("I;16", {}), ("1", {}), ("CMYK", {}), ("F", {}), ("L", {"exif": 6}), ("RGB", {"exif": 3})],
)  # fmt: skip
def test_every_mode_of_pillow_says_what_its_file_does(
    model: Model, make: Make, mode: str, options: dict[str, int]
) -> None:
    image = Image.fromarray(DEEP) if mode == "I;16" else slice_image(1, 3).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (48, 1))))
    exif = Image.Exif()
    exif[0x0112] = options.get("exif", 1)
    file = make.image(
        image, "tiff" if mode in ("CMYK", "F") else "png", **({"exif": exif} if options else {})
    )
    for one in (Image.open(file), image) if not options else (Image.open(file),):
        before = one.tobytes()
        finding = model.predict(one)
        assert said(finding) == said(model.predict(file))
        assert any("EXIF" in note for note in finding.notes) == bool(options)
        assert one.tobytes() == before
        assert one.mode == mode


def test_colour_of_16_bits_is_refused_where_pillow_would_cut_it(model: Model, tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    colours = np.random.default_rng(0).integers(0, 65535, (20, 20, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert said(model.predict(tmp_path / "deep.png")) == said(model.predict(colours))
    with pytest.raises(InputError, match="Pillow keeps 8 of its 16 bits a channel; give the path"):
        model.predict(Image.open(tmp_path / "deep.png"))


REFUSED: list[tuple[Any, str]] = [
    (
        np.zeros((5, 40, 30)),
        r"got \(5, 40, 30\); a stack of pictures is never guessed .* predict_study\(x, axis=…\)",
    ),
    (np.zeros((40, 30, 5)), "never guessed from a shape"),
    (np.zeros((3, 40, 30)), r"numpy.moveaxis\(x, 0, -1\)"),
    (np.zeros((40, 30, 4), np.uint8), "of RGBA give PIL.Image.fromarray"),
    (np.zeros((40, 30, 1)), r"of one channel give x.squeeze\(\)"),
    (np.zeros((2, 5, 40, 30)), "never guessed from a shape"),
    (np.zeros(40), r"x.reshape\(height, width\)"),
    (np.float64(3), "but got numpy.float64"),
    (np.array(3.0), "expected an array of shape"),
    (np.ma.masked_less(HEAD, 50), r"a masked array; .* x.filled\(0\)"),
    (HEAD > 100, "truth values, as a mask has"),
    ((HEAD > 100).astype(np.uint8), "nothing but the values 0, 1, as a mask does"),
    ((HEAD > 100) * 255.0, "0, 255, as a mask"),
    (np.eye(3, dtype=np.uint8)[HEAD // 86], "0, 1, as a mask"),
    (HEAD + 1j, r"of complex values give abs\(x\)"),
    (HEAD.astype(object), "expected integers or floats but got object"),
    (HEAD.tolist(), "give numpy.array"),
    ([HEAD.tolist()], "picture 0 of the list: .* got list"),
    ([HEAD, b"x"], "picture 1 of the list: .* got bytes; give the path"),
    (b"\x89PNG", r"PIL.Image.open or pydicom.dcmread of io.BytesIO\(x\)"),
    (b"scan.png", "got bytes"),
    ((one for one in (HEAD,)), r"give a list: list\(x\)"),
    (None, "but got NoneType"),
    (7, "but got int"),
]


@pytest.mark.parametrize(("picture", "message"), REFUSED)
def test_what_may_be_something_else_is_refused_with_what_to_do(
    model: Model, picture: Any, message: str
) -> None:
    for ask in (model.predict, model.predict_proba):
        with pytest.raises(InputError, match=message):
            ask(picture)


@pytest.mark.parametrize("shape", [(0, 0), (0, 20), (20, 0), (0, 20, 3)])
def test_empty_arrays_are_refused(model: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(ReadError, match="<array>: impossible size"):
        model.predict(np.zeros(shape, np.uint8))


def test_tensors_and_open_files_are_refused_with_what_to_do(model: Model, make: Make) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"got torch.Tensor; give x.detach\(\).cpu\(\).numpy\(\)"):
        model.predict(torch.zeros(20, 20))
    with make.image(HEAD, "png").open("rb") as file, pytest.raises(InputError, match=r"PIL.Image.open\(x\)"):
        model.predict(file)


def test_colour_says_how_it_was_read(model: Model) -> None:
    assert any("OpenCV has blue first" in note for note in model.predict(COLOUR).notes)
    assert model.predict(np.repeat(HEAD[..., None], 3, -1)).notes == ()


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
    assert model.predict(datasets[0]).notes == model.predict(files[0]).notes == (ALONE,)


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
    told = predict_job(model.bundle, [make.folder], None, None).findings
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
    (lambda volume: (volume > 500, {"axis": 0}), "truth values"),
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
    with pytest.raises(InputError, match="no ordinary slice of a study, but localizer"):
        model.predict_study(files)


def test_probabilities_are_as_scikit_learn_has_them(model: Model) -> None:
    one, several = model.predict_proba(HEAD), model.predict_proba([HEAD, DEEP])
    assert (one.shape, one.dtype, several.shape) == ((4,), np.float64, (2, 4))
    assert several[0] == pytest.approx(one)
    assert several.sum(axis=1) == pytest.approx([1, 1])
    assert model.predict_proba([]).shape == (0, 4)
    assert model.predict([]) == []


def test_a_bundle_is_found_in_results_and_in_runs(tmp_path: Path) -> None:
    folder = walkthrough.write(tmp_path)
    for path in ("results", "results/bundle", "results/run", "results/run/model"):
        assert gliascope.load(str(folder / path)).classes == quadrant_bundle().info.classes
    assert gliascope.load(folder / "results").card == "# Model card: quadrants\n"
    assert "no model card" in gliascope.load(folder / "results" / "run").card
    assert gliascope.load(folder / "results").card._repr_markdown_().startswith("# Model card")
    quadrant_bundle().write(folder / "results" / "run-2" / "model")
    assert gliascope.load(folder / "results").bundle.info.recipe == "quadrants"
    (folder / "results" / "bundle").rename(tmp_path / "gone")
    with pytest.raises(BundleError, match="holds 2 bundles"):
        gliascope.load(folder / "results")
    with pytest.raises(BundleError, match="not a bundle"):
        gliascope.load(folder / "study")
    with pytest.raises(BundleError, match="not a bundle"):
        gliascope.load(folder / "none")
    assert gliascope.load(tmp_path / "gone", level=0.9).bundle.info.judge.level == 0.9
    with pytest.raises(GliascopeError, match=r"level 0\.9999"):
        gliascope.load(tmp_path / "gone", level=0.9999)


def test_threads_share_a_model(model: Model) -> None:
    pictures = [np.asarray(slice_image(label % 4, label)) for label in range(24)]
    expected = [said(model.predict(one)) for one in pictures]
    with ThreadPoolExecutor(6) as pool:
        assert [said(one) for one in pool.map(model.predict, pictures)] == expected


def test_a_pickled_model_says_the_same(model: Model) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert said(again.predict(HEAD)) == said(model.predict(HEAD))
    assert (again.classes, again.card) == (model.classes, model.card)
    finding = pickle.loads(pickle.dumps(model.predict(HEAD)))
    assert said(finding) == said(model.predict(HEAD))


def test_a_forked_process_is_told_to_load_its_own(model: Model) -> None:
    """It would wait for threads that it does not have."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        try:
            model.predict(HEAD)
        except ForkedError as error:
            theirs.send(str(error))

    process = context.Process(target=child)
    process.start()
    assert ours.poll(60)
    assert "load it in the child" in ours.recv()
    process.join(60)


def picture_of(verdict: str) -> np.ndarray:
    if verdict == "out of scope":
        return np.random.default_rng(0).integers(240, 250, (48, 48), dtype=np.uint8)
    pixels = np.asarray(slice_image(0, 1)).copy()
    if verdict == "uncertain":
        pixels = np.maximum(pixels, np.asarray(slice_image(1, 1)))
    return pixels


@pytest.mark.parametrize(
    ("verdict", "headline", "line"),
    [
        ("accepted", "Accepted: glioma", r"<Finding accepted: glioma 9\d\.\d %; <array>>"),
        ("uncertain", "Uncertain: glioma or meningioma", r"<Finding uncertain: glioma or meningioma, likeliest \w+ \d\d"),
        ("out of scope", "Out of scope", r"<Finding out of scope: unlike what the model learned from \(outlier"),
        ("unchecked", "Unchecked", r"<Finding unchecked, likeliest glioma 9"),
    ],
)  # fmt: skip
def test_a_finding_shows_its_verdict_first(verdict: str, headline: str, line: str) -> None:
    model = Model(quadrant_bundle(plain=verdict == "unchecked"))
    finding = model.predict(picture_of(verdict))
    assert finding.verdict == verdict
    assert re.match(line, repr(finding))
    html = finding._repr_html_()
    first = re.search(r"font-weight:bold\">(.*?)</div>", html)
    assert first is not None
    assert first[1] == headline
    assert html.index(first[0]) < html.index("<img") < html.index("<table")
    assert html.count("<tr") == 4
    assert gliascope.RESEARCH_USE in html
    assert "<script" not in html and "http" not in html
    assert ("tinted where it speaks for" in html) == (verdict in ("accepted", "uncertain"))


def test_what_a_notebook_shows_is_escaped(tmp_path: Path) -> None:
    model = Model(quadrant_bundle())
    Image.fromarray(HEAD).save(tmp_path / "<img onerror=x>.png")
    assert "<img onerror" not in model.predict(tmp_path / "<img onerror=x>.png")._repr_html_()


def test_a_study_shows_its_verdict_and_slices(tmp_path: Path) -> None:
    folder = walkthrough.write(tmp_path)
    study = gliascope.load(folder / "results").predict_study(folder / "study")
    html = study._repr_html_()
    assert re.match(r"<StudyFinding unchecked, likeliest glioma .* 4 slices of ", repr(study))
    assert ">Unchecked</div>" in html
    assert "nothing has been calibrated for studies" in html
    assert "4 slices: 4 accepted" in html
    assert html.count("<img") == 4
    assert html.index("slice 0: accepted: glioma") > 0
    assert "".join(study.to_json().split())
    assert all(isinstance(one, Finding) for one in study.slices)


def test_the_command_line_finds_the_bundle_of_results_and_says_the_same(tmp_path: Path) -> None:
    folder, out = walkthrough.write(tmp_path), tmp_path / "findings.jsonl"
    arguments = ["predict", folder / "results", folder / "study", "--out", out, "--level", "0.9"]
    shown = CliRunner().invoke(app, [str(one) for one in arguments])
    assert shown.exit_code == 0, shown.output
    study = gliascope.load(folder / "results", level=0.9).predict_study(folder / "study")
    assert out.read_text().splitlines() == [one.to_json() for one in (*study.slices, study)]


def test_a_real_network_agrees_with_the_command_line(make: Make, bundle: Bundle) -> None:
    file = make.image(HEAD, "png")
    (expected,) = predict_job(bundle, [file], None, None).findings
    finding = Model(bundle).predict(HEAD)
    assert finding.probabilities == pytest.approx(expected.probabilities)
    assert finding.seen is not None
    assert finding.seen.shape[:2] == (64, 64)
