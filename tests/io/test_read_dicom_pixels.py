"""DICOM frames: modality LUT, VOI, colour, functional groups."""

import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gliascope.errors import DamagedFileError
from gliascope.io import read

# pytest undoes the filters that the readers set.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def by_window(values, centre, width):
    """PS3.3 C.11.2.1.2.1, as its pseudo-code has it."""
    y = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    y = np.where(values <= centre - 0.5 - (width - 1) / 2, 0, y)
    return np.where(values > centre - 0.5 + (width - 1) / 2, 255, y)


def close(result, expected):
    return np.abs(result - expected).max() <= 0.5 + 1e-6


def test_eight_bits_without_window_stay(make, ramp):
    assert np.array_equal(pixels(make.dicom(ramp)), ramp)
    assert np.array_equal(pixels(make.dicom(ramp, RescaleSlope=1, RescaleIntercept=0)), ramp)


def test_few_bits_fill_the_range(make):
    stored = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.array_equal(pixels(make.dicom(stored, BitsStored=4, HighBit=3)), stored * 17)


def test_deep_values_without_window_are_spread(make, deep):
    low, high = np.percentile(deep, (0.5, 99.5))
    assert close(pixels(make.dicom(deep)), np.clip((deep - low) / (high - low), 0, 1) * 255)


def test_the_first_window_is_applied(make, deep):
    path = make.dicom(deep, WindowCenter=[1000, 3], WindowWidth=[500, 3])
    assert close(pixels(path), by_window(deep, 1000, 500))


def test_rescale_goes_before_the_window(make, deep):
    signed = deep.astype(np.int16) - 2000
    path = make.dicom(
        signed, RescaleSlope="0.5", RescaleIntercept="-100", WindowCenter="-300", WindowWidth="700"
    )
    assert close(pixels(path), by_window(signed * 0.5 - 100, -300, 700))


@pytest.mark.parametrize("function", ["SIGMOID", "LINEAR_EXACT"])
def test_other_window_functions(make, deep, function):
    path = make.dicom(deep, WindowCenter=1900, WindowWidth=1000, VOILUTFunction=function)
    expected = {
        "SIGMOID": 255 / (1 + np.exp(-4 * (deep - 1900.0) / 1000)),
        "LINEAR_EXACT": np.clip((deep - 1400.0) / 1000, 0, 1) * 255,
    }[function]
    assert close(pixels(path), expected)


@pytest.mark.parametrize("width", [0, "0.5", "-10"])
def test_an_impossible_window_counts_as_none(make, deep, width):
    assert np.array_equal(
        pixels(make.dicom(deep, WindowCenter=40, WindowWidth=width)), pixels(make.dicom(deep))
    )


def test_monochrome1_is_inverted(make, ramp, deep):
    options = {"WindowCenter": 1000, "WindowWidth": 500}
    upright = pixels(make.dicom(deep, **options))
    assert np.array_equal(
        pixels(make.dicom(deep, PhotometricInterpretation="MONOCHROME1", **options)), 255 - upright
    )
    assert np.array_equal(pixels(make.dicom(ramp, PhotometricInterpretation="MONOCHROME1")), 255 - ramp)


def table(first, bits, entries, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", vr, entries if vr == "US" else np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_lut_goes_before_windows(make, vr):
    stored = np.array([[0, 10, 11, 12, 13, 99]], np.uint16)
    # More entries of 8 bits than 256: pydicom's apply_voi wraps around there.
    lut = table(10, 8, [50, 60, 70] + [80] * 300, vr)
    path = make.dicom(stored, VOILUTSequence=lut, WindowCenter=1, WindowWidth=2)
    assert pixels(path).tolist() == [[50, 50, 60, 70, 80, 80]]


def test_modality_lut_goes_before_the_window(make):
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    path = make.dicom(
        stored, ModalityLUTSequence=table(0, 16, [0, 1000, 500, 100]), WindowCenter="500.5", WindowWidth=1001
    )
    assert pixels(path).tolist() == [[0, 255, 128, 26]]


def test_ct_without_window_gets_the_brain_window(make):
    stored = np.array([[0, 1024, 1064, 1104, 3000]], np.uint16)  # -1024, 0, 40, 80, 1976 HU
    path = make.dicom(stored, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024)
    assert close(pixels(path), by_window(stored - 1024.0, 40, 80))
    signed = make.dicom((stored.astype(np.int16) - 1024), Modality="CT", RescaleSlope=1, RescaleIntercept=0)
    assert np.array_equal(pixels(signed), pixels(path))


def test_ct_that_is_no_hounsfield_is_as_any_other(make, ramp):
    assert np.array_equal(pixels(make.dicom(ramp, Modality="CT")), ramp)


def test_rgb_keeps_its_values(make, ramp):
    colour = np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1)
    assert np.array_equal(pixels(make.dicom(colour)), colour)
    assert np.array_equal(pixels(make.dicom(np.stack([ramp] * 3, axis=-1))), ramp)


def test_ybr_becomes_rgb(make):
    ybr = np.full((4, 4, 3), (76, 85, 255), np.uint8)  # red
    result = pixels(make.dicom(ybr, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(result[0, 0].astype(int) - [254, 0, 0]).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_becomes_rgb(make, bits):
    colours = {"Red": [10, 20, 30, 40], "Green": [50, 60, 70, 80], "Blue": [5, 6, 7, 8]}
    dataset = make.dataset(np.array([[0, 1], [2, 3]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name, entries in colours.items():
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4, 0, bits])
        values = np.array(entries, f"<u{bits // 8}") * (1 if bits == 8 else 257)
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", values.tobytes())
    assert pixels(make.save(dataset))[1].tolist() == [[30, 70, 7], [40, 80, 8]]


def test_float_pixels_are_spread_and_nan_is_black(make):
    values = np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)
    values[3, 3] = np.nan
    dataset = make.dataset(values.view(np.uint32))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.FloatPixelData = values.tobytes()
    result = pixels(make.save(dataset))
    assert (result[0, 0], result[3, 3], result[-1, -1]) == (0, 0, 255)
    assert result[10, 0] == pytest.approx(127.5, abs=1)


def test_frames_are_slices_on_one_scale(make):
    frames = np.stack([np.full((8, 8), 100, np.uint16), np.full((8, 8), 300, np.uint16)])
    first, second = read(make.dicom(frames, frames=2))
    assert (first.index, second.index) == (0, 1)
    assert (first.pixels.max(), second.pixels.min()) == (0, 255)


def test_functional_groups_speak_for_their_frames(make):
    frames = np.stack([np.full((4, 4), 100, np.uint16)] * 2)

    def group(**sequences):
        item = Dataset()
        for name, elements in sequences.items():
            inner = Dataset()
            for keyword, value in elements.items():
                setattr(inner, keyword, value)
            setattr(item, name, Sequence([inner]))
        return item

    def window(centre):
        return {"FrameVOILUTSequence": {"WindowCenter": centre, "WindowWidth": 101}}

    shared = group(
        PixelMeasuresSequence={"PixelSpacing": [0.5, 0.25]},
        PixelValueTransformationSequence={"RescaleSlope": 2, "RescaleIntercept": 0},
        PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
    )
    path = make.dicom(
        frames, frames=2, PixelSpacing=[9, 9],
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([group(**window("200.5")), group(**window("150.5"))]),
    )  # fmt: skip
    first, second = read(path)
    assert first.spacing == second.spacing == (0.5, 0.25)
    assert first.plane == second.plane == "coronal"
    assert (first.pixels[0, 0], second.pixels[0, 0]) == (128, 255)


def test_excess_bytes_are_no_frames(make, ramp):
    dataset = make.dataset(ramp)
    dataset.PixelData = ramp.tobytes() * 3
    assert np.array_equal(pixels(make.save(dataset)), ramp)


def test_a_slope_may_take_values_beyond_any_float(make, deep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DamagedFileError, match="no finite value"):
            read(make.dicom(deep + 1, RescaleSlope="1e308", RescaleIntercept="0"))
