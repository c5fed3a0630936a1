"""One volume is one grey scale, whatever files it comes in."""

import io
from pathlib import Path

import numpy as np
import pytest
import volumes
from making import Make
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from gliascope.io import intensity, read
from gliascope.io.histogram import Histogram
from gliascope.io.intensity_range import IntensityRange
from gliascope.io.scales import SINGLE_SLICE_NOTE, IntensityFacts, scale_by_percentiles
from gliascope.io.series import (
    SeriesCollector,
    SeriesMember,
    folder_series,
    pack_members,
    read_series,
    unpack_members,
)


@pytest.fixture
def volume() -> np.ndarray:
    return volumes.head()


def shown(paths: list[Path]) -> np.ndarray:
    return np.stack([one.pixels for slices in read_series(paths) for one in slices])


def compressed(make: Make, volume: np.ndarray, syntax: str) -> list[Path]:
    paths = []
    for index in range(len(volume)):
        one = volumes.instance(make, volume, index)
        if syntax == "RLE":
            one.compress(RLELossless, generate_instance_uid=False)
        else:
            content = io.BytesIO()
            Image.fromarray(volume[index]).save(content, "JPEG2000", no_jp2=True, irreversible=False)
            one.file_meta.TransferSyntaxUID = JPEG2000Lossless
            one.PixelData = encapsulate([content.getvalue()])
            one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
        paths.append(make.save(one))
    return paths


def by_gdcm(make: Make, volume: np.ndarray, syntax: str) -> list[Path]:
    facts = {"SeriesInstanceUID": volumes.SERIES, "BitsStored": 12, "HighBit": 11}
    return [make.gdcm(one, syntax, **facts) for one in volume]


DOORS: dict[str, volumes.Door] = {
    "classic": volumes.files,
    "big endian": lambda make, volume: volumes.in_syntax(make, volume, "big endian"),
    "implicit": lambda make, volume: volumes.in_syntax(make, volume, "implicit"),
    "RLE": lambda make, volume: compressed(make, volume, "RLE"),
    "JPEG 2000": lambda make, volume: compressed(make, volume, "JPEG 2000"),
    "JPEG-LS": lambda make, volume: by_gdcm(make, volume, "JPEGLSLossless"),
    "JPEG lossless": lambda make, volume: by_gdcm(make, volume, "JPEGLosslessProcess14_1"),
    "enhanced": lambda make, volume: [volumes.enhanced(make, volume)],
    "NIfTI": lambda make, volume: [volumes.nifti(make, volume)],
    "NIfTI of floats": lambda make, volume: [volumes.nifti(make, volume.astype(np.float32))],
}


@pytest.mark.parametrize("door", DOORS)
def test_every_lossless_door_shows_the_same(make: Make, volume: np.ndarray, door: str) -> None:
    array = np.stack(scale_by_percentiles(Path("array"), list(volume)))
    assert len(np.unique(array)) > 100
    assert np.array_equal(shown(DOORS[door](make, volume)), array)


def test_every_door_shows_the_same_of_rescaled_values(make: Make, volume: np.ndarray) -> None:
    real = volume * 0.25 - 70
    array = np.stack(scale_by_percentiles(Path("array"), list(real)))
    rescaled = {"RescaleSlope": "0.25", "RescaleIntercept": "-70"}
    assert np.array_equal(shown(volumes.files(make, volume, **rescaled)), array)
    assert np.array_equal(shown([volumes.enhanced(make, volume, **rescaled)]), array)
    assert np.array_equal(shown([volumes.nifti(make, volume, scl_slope=0.25, scl_inter=-70)]), array)
    assert np.array_equal(shown([volumes.nifti(make, real)]), array)


def test_a_lesion_leaves_its_slice_as_bright_as_its_neighbours(make: Make, volume: np.ndarray) -> None:
    brain = shown(volumes.files(make, volume))[:, 25:30, 15:20].mean(axis=(1, 2))
    assert abs(brain[7] - brain[6]) < 10


def test_values_of_each_slice_may_have_a_slope_of_their_own(make: Make, volume: np.ndarray) -> None:
    """As Philips writes it: each slice uses all stored values."""
    real = volume[:, :, :] * 0.5
    paths = []
    for index, slope in enumerate(0.5 / 2.0 ** (np.arange(len(volume)) % 3)):
        stored = (real / slope).astype(np.uint16)
        one = volumes.instance(
            make, stored, index, RescaleSlope=str(slope), RescaleIntercept="0", BitsStored=16
        )
        one.HighBit = 15
        paths.append(make.save(one))
    assert np.array_equal(shown(paths), np.stack(scale_by_percentiles(Path("array"), list(real))))


@pytest.mark.parametrize("windows", ["centres", "some without", "useless in one"])
def test_windows_that_differ_were_set_slice_by_slice(make: Make, volume: np.ndarray, windows: str) -> None:
    def window(index: int) -> dict[str, int]:
        if windows == "some without" and index % 2:
            return {}
        width = 1 if windows == "useless in one" and index == 3 else 800
        return {"WindowCenter": 400 + (20 * index if windows == "centres" else 0), "WindowWidth": width}

    paths = [
        make.save(volumes.instance(make, volume, index, **window(index))) for index in range(len(volume))
    ]
    assert np.array_equal(shown(paths), np.stack(scale_by_percentiles(Path("array"), list(volume))))


def test_a_window_that_all_state_is_used(make: Make, volume: np.ndarray) -> None:
    paths = volumes.files(make, volume, WindowCenter=400, WindowWidth=800)
    assert np.array_equal(shown(paths), np.stack([intensity.apply_window(one, 400, 800) for one in volume]))


def test_windows_of_ct_that_differ_give_way_to_the_brain_window(make: Make) -> None:
    hounsfield = volumes.head().astype(np.int16) // 12 - 1
    facts = {"Modality": "CT", "BitsStored": 16, "HighBit": 15, "WindowWidth": 200}
    paths = [
        make.save(volumes.instance(make, hounsfield, index, WindowCenter=40 + index, **facts))
        for index in range(len(hounsfield))
    ]
    assert np.array_equal(shown(paths), np.stack([intensity.apply_window(one, 40, 80) for one in hounsfield]))


def test_frames_of_one_file_with_windows_of_their_own_share_a_scale(make: Make, volume: np.ndarray) -> None:
    def group(index: int) -> object:
        voi = volumes.dataset(WindowCenter=300 + 50 * index, WindowWidth=700)
        return volumes.dataset(FrameVOILUTSequence=[voi])

    one = make.dataset(volume, frames=len(volume), BitsStored=12, HighBit=11)
    one.PerFrameFunctionalGroupsSequence = [group(index) for index in range(len(volume))]
    assert np.array_equal(
        shown([make.save(one)]), np.stack(scale_by_percentiles(Path("array"), list(volume)))
    )


def test_order_changes_nothing(make: Make, volume: np.ndarray) -> None:
    paths = volumes.files(make, volume)
    assert np.array_equal(shown(paths), shown(paths[::-1])[::-1])


def test_a_copy_counts_once(make: Make, volume: np.ndarray) -> None:
    paths = volumes.files(make, volume)
    copies = [make.bytes(paths[7].read_bytes()) for _ in range(9)]
    assert np.array_equal(shown([*paths, *copies])[: len(paths)], shown(paths))


@pytest.mark.parametrize(
    "other",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"SeriesInstanceUID": "1.2.3.4"},
    ],
)
def test_what_is_of_another_kind_has_no_say(make: Make, volume: np.ndarray, other: dict[str, object]) -> None:
    odd = make.save(volumes.instance(make, volume * 2 + 90, 0, **other))
    paths = volumes.files(make, volume)
    together = read_series([odd, *paths])
    assert np.array_equal(np.stack([one.pixels for (one,) in together[1:]]), shown(paths))
    assert np.array_equal(together[0][0].pixels, read(odd)[0].pixels)


def test_one_slice_of_a_series_says_so(make: Make, volume: np.ndarray) -> None:
    first, *rest = volumes.files(make, volume)
    assert SINGLE_SLICE_NOTE in read(first)[0].notes
    assert SINGLE_SLICE_NOTE in read_series([first])[0][0].notes
    assert (
        SINGLE_SLICE_NOTE
        in read(make.save(volumes.instance(make, volume, 0, WindowCenter=9, WindowWidth=99)))[0].notes
    )
    assert not any(one.notes for slices in read_series([first, *rest]) for one in slices)
    assert not read(volumes.enhanced(make, volume))[0].notes
    # Hounsfield units and 8 bits for display have a scale of their own.
    ct = volumes.instance(make, volume.astype(np.int16) // 12, 0, Modality="CT", BitsStored=16, HighBit=15)
    assert not read(make.save(ct))[0].notes
    assert not read(make.dicom((volume[7] // 8).clip(0, 255).astype(np.uint8), SeriesInstanceUID="1.2.9"))[
        0
    ].notes


def test_files_of_one_window_are_not_alone_together(make: Make, volume: np.ndarray) -> None:
    paths = volumes.files(make, volume, WindowCenter=400, WindowWidth=800)
    assert not any(one.notes for slices in read_series(paths) for one in slices)


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("layout", ["{}/patient 7", "patient 7/{}", "{}/patient 7/t1 post"])
def test_deep_pictures_of_a_patient_folder_share_a_scale(
    tmp_path: Path, volume: np.ndarray, ending: str, layout: str
) -> None:
    paths = []
    for index, one in enumerate(volume):
        folder = tmp_path / "set" / layout.format("glioma" if index == 7 else "no_tumor")
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{index:02}.{ending}")
        Image.fromarray(one).save(paths[-1])
    other = tmp_path / "set" / "glioma" / f"9.{ending}"
    other.parent.mkdir(exist_ok=True)
    Image.fromarray(volume[0] * 2).save(other)
    array = np.stack(scale_by_percentiles(Path("array"), list(volume)))
    assert np.array_equal(shown([other, *paths])[1:], array)
    assert np.array_equal(shown([other, *paths])[0], read(other)[0].pixels)


@pytest.mark.parametrize(
    ("folders", "shared"),
    [
        ("set/glioma/p7", True), ("set/Training/glioma/anna", True), ("uploads/patient 3", True), ("x/case01", True),
        ("set/glioma", False), ("set/Training", False), ("pictures", False), ("", False),
        ("patient 7/glioma", True), ("set/P007/Training/glioma", True), ("set/glioma/p7/T1", True),
        ("set/case 3/slices", True), ("set7023/glioma", False), ("set/2020/glioma", False),
        ("set/T1/glioma", False), ("set/glioma/T1", False), ("set/glioma/256x256", False),
    ],
)  # fmt: skip
def test_patients_are_told_by_folders(folders: str, shared: bool) -> None:
    assert (folder_series(tuple(folders.split("/")) if folders else ()) is not None) == shared


def test_what_a_file_says_survives_packing(make: Make, volume: np.ndarray) -> None:
    paths = volumes.files(make, volume, WindowCenter=40, WindowWidth=80)
    greys = [read(path)[0].intensity for path in paths]
    members = [SeriesMember(str(path), "s", grey) for path, grey in zip(paths, greys, strict=True) if grey]
    again = list(unpack_members(pack_members(members)))
    assert [(one.name, one.series) for one in again] == [(one.name, one.series) for one in members]
    for one, other in zip(members, again, strict=True):
        assert (one.intensity.declared, one.intensity.instance) == (
            other.intensity.declared,
            other.intensity.instance,
        )
        assert one.intensity.own_scale == other.intensity.own_scale
        assert np.array_equal(one.intensity.histogram.values, other.intensity.histogram.values)
        assert np.array_equal(one.intensity.histogram.counts, other.intensity.histogram.counts)


def test_many_files_are_folded_as_they_come() -> None:
    series, rng = SeriesCollector(), np.random.default_rng(0)
    values = rng.integers(0, 900, (300, 50))
    for number, one in enumerate(values):
        grey = IntensityFacts(
            "s",
            frozenset({(IntensityRange("window", (number, 9.0), "LINEAR"),)}),
            Histogram.from_values(one),
            instance=str(number),
        )
        series.add(SeriesMember(str(number), "s", grey))
    _, _, scale = next(series.scales())
    assert scale.numbers[:2] == intensity.percentile_range(Path("x"), [values])
