"""Declared ranges that the data contradicts: a picture that shows nothing is never returned in silence."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gliascope.io import read
from gliascope.io.intensity import apply_window, hides_content

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")
RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
HU = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def table(first, bits, entries, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 2**16, first, bits])
    data = entries if vr == "US" else np.asarray(entries, "<u1" if vr == "packed" else "<u2").tobytes()
    item.add_new("LUTData", "US" if vr == "US" else "OW", data)
    return Sequence([item])


@pytest.mark.parametrize(
    ("centre", "width"),
    [("8191.5", "16383"), (-50, 100), (5000, 100), (500, 1), (3000, 2), (2, 2), (-5000, 20000), (10, 20)],
)
def test_a_window_that_shows_nothing_is_passed_over_and_said(make, mr, centre, width):
    (slice_,) = read(make.dicom(mr, WindowCenter=centre, WindowWidth=width))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert slice_.notes == ("the window shows next to nothing: passed over",)


@pytest.mark.parametrize(
    ("centre", "width"), [(500, 1000), (700, 400), (1000, 2000), (300, 500), (2000, 4000)][:4]
)
def test_a_window_that_shows_something_is_kept(make, mr, centre, width):
    (slice_,) = read(make.dicom(mr, WindowCenter=centre, WindowWidth=width))
    assert np.array_equal(slice_.pixels, apply_window(mr, centre, width))
    assert slice_.notes == ()


@pytest.mark.parametrize("function", ["SIGMOID", "LINEAR_EXACT"])
def test_other_functions_are_passed_over_too(make, mr, function):
    path = make.dicom(mr, WindowCenter=8000, WindowWidth=1000, VOILUTFunction=function)
    assert np.array_equal(pixels(path), pixels(make.dicom(mr)))


def test_eight_bits_with_the_window_of_sixteen(make, mr):
    stored = (mr // 4).astype(np.uint8)
    assert np.array_equal(pixels(make.dicom(stored, WindowCenter=600, WindowWidth=1200)), stored)


def test_eight_bits_that_use_a_few(make, mr):
    (slice_,) = read(make.dicom((mr // 25).astype(np.uint8)))
    assert slice_.pixels.max() == 255
    assert slice_.notes == ("the full range of BitsStored shows next to nothing: passed over",)


def test_ct_falls_back_to_the_brain_window(make, ct):
    stored = (ct + 1024).astype(np.uint16)
    assert np.array_equal(
        pixels(make.dicom(stored, WindowCenter=30000, WindowWidth=60000, **HU)),
        pixels(make.dicom(stored, **HU)),
    )


def test_ct_whose_values_are_no_hounsfield_units(make, ct):
    """Signed, without a rescale: the brain window would be white."""
    stored = (ct + 1024).astype(np.int16)
    (slice_,) = read(make.dicom(stored, Modality="CT"))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(stored)))
    assert slice_.notes == ("the brain window shows next to nothing: passed over",)


@pytest.mark.parametrize("stroke", [(40, 80), (32, 8), (300, 2000), (-600, 1500)])
def test_ct_keeps_windows_as_they_are_used(make, ct, stroke):
    (slice_,) = read(
        make.dicom((ct + 1024).astype(np.uint16), WindowCenter=stroke[0], WindowWidth=stroke[1], **HU)
    )
    assert np.array_equal(slice_.pixels, apply_window(ct, *stroke))
    assert slice_.notes == ()


def test_a_ct_slice_at_the_vertex_keeps_its_window(make, ct):
    """Skin around bone, and no brain: nearly all that is no air is black or white, and rightly so."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.sqrt(x**2 + y**2)
    vertex = np.where(
        radius > 0.4, np.minimum(ct, -950), np.where(radius > 0.33, -90, np.where(radius > 0.32, 40, 700))
    )
    noise = np.random.default_rng(0).normal(0, 6, vertex.shape)
    (slice_,) = read(
        make.dicom((vertex + noise + 1024).clip(0).astype(np.uint16), WindowCenter=40, WindowWidth=80, **HU)
    )
    assert slice_.notes == ()
    assert len(np.unique(slice_.pixels)) > 10


def test_a_ct_window_beside_all_soft_tissue_is_passed_over(make, ct):
    stored = (ct + 1024).astype(np.uint16)
    (slice_,) = read(make.dicom(stored, WindowCenter=-1000, WindowWidth=100, **HU))
    assert slice_.notes == ("the window shows next to nothing: passed over",)
    assert np.array_equal(slice_.pixels, pixels(make.dicom(stored, **HU)))


def test_a_ct_slice_of_air_is_black(make, ct):
    air = np.random.default_rng(0).normal(24, 10, (64, 64)).clip(0).astype(np.uint16)
    for options in ({}, {"WindowCenter": 40, "WindowWidth": 80}):
        (slice_,) = read(make.dicom(air, **HU, **options))
        assert slice_.pixels.max() == 0
        assert slice_.notes == ()


def test_a_blank_frame_among_others_stays_blank(make, mr):
    noise = np.random.default_rng(0).integers(0, 30, mr.shape, np.uint16)
    first, second = read(make.dicom(np.stack([mr, noise]), frames=2, WindowCenter=500, WindowWidth=1000))
    assert second.pixels.max() < 10
    assert first.notes == ()


def test_a_mask_hides_nothing():
    mask = np.zeros((64, 64), np.uint16)
    mask[20:40, 20:40] = 1
    assert not hides_content([mask], [apply_window(mask, 500, 1000)])
    assert not hides_content([np.full((8, 8), np.nan)], [np.zeros((8, 8), np.uint8)])


RAMP = np.clip((np.arange(2049) - 1024) * 51, 0, 4095)  # 0 to 80 HU, as 12 bits


@pytest.mark.parametrize("first", [-1024, 64512])
def test_the_sign_of_a_voi_lut_is_that_of_what_it_maps(make, ct, first):
    stored = (ct + 1024).astype(np.uint16)
    whole = make.dicom(stored, VOILUTSequence=table(-1024, 12, RAMP.tolist()), **HU)
    assert len(np.unique(pixels(whole))) > 30
    path = make.dicom(stored, VOILUTSequence=table(first, 12, RAMP.tolist()), **HU)
    assert np.array_equal(pixels(path), pixels(whole))


def test_high_values_keep_a_high_first_value(make):
    stored = np.arange(64000, 64400, dtype=np.uint16).reshape(20, 20)
    path = make.dicom(
        stored, VOILUTSequence=table(64000, 16, np.linspace(0, 65535, 400).astype(int).tolist())
    )
    assert np.array_equal(pixels(path).reshape(-1), np.rint(np.linspace(0, 65535, 400).astype(int) / 257))


@pytest.mark.parametrize(("stated", "entries"), [(16, 8), (8, 16), (10, 12), (16, 12)])
def test_bits_of_a_voi_lut_that_its_entries_contradict(make, mr, stated, entries):
    values = np.linspace(0, 2**entries - 1, 1001).astype(int).tolist()
    right = pixels(make.dicom(mr, VOILUTSequence=table(0, entries, values)))
    assert right.max() == 255
    assert np.array_equal(pixels(make.dicom(mr, VOILUTSequence=table(0, stated, values))), right)


def test_a_voi_lut_of_bytes_packed_in_words(make, mr):
    values = np.linspace(0, 255, 1002).astype(int).tolist()
    packed = make.dicom(mr, VOILUTSequence=table(0, 8, values, "packed"))
    assert np.array_equal(pixels(packed), pixels(make.dicom(mr, VOILUTSequence=table(0, 8, values))))


def test_a_voi_lut_that_shows_nothing(make, mr):
    (slice_,) = read(make.dicom(mr, VOILUTSequence=table(2000, 12, list(range(0, 4096, 2)))))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert slice_.notes == ("the VOI LUT shows next to nothing: passed over",)


def palette(make, stored, first, bits, entries, words):
    dataset = make.dataset(stored, PhotometricInterpretation="PALETTE COLOR")
    for name, factor in (("Red", 1), ("Green", 0.5), ("Blue", 0)):
        vr = "SS" if first < 0 else "US"
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", vr, [len(entries), first, bits])
        data = (np.asarray(entries) * factor).astype(f"<u{words}")
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", data.tobytes())
    return make.save(dataset)


@pytest.mark.parametrize(("bits", "words"), [(8, 1), (16, 2), (8, 2)])
def test_bits_of_a_palette_that_its_entries_contradict(make, mr, bits, words):
    stored = (mr // 4).astype(np.uint8)
    right = pixels(palette(make, stored, 0, 8, np.arange(256), 1))
    assert right.max() == 250
    assert np.array_equal(pixels(palette(make, stored, 0, bits, np.arange(256), words)), right)


@pytest.mark.parametrize("first", [-100, 65436])
def test_the_sign_of_a_palette(make, mr, first):
    stored = (mr // 4).astype(np.int16) - 100
    right = pixels(palette(make, (mr // 4).astype(np.uint16), 0, 16, np.arange(256) * 257, 2))
    assert np.array_equal(pixels(palette(make, stored, first, 16, np.arange(256) * 257, 2)), right)


def test_a_palette_that_shows_nothing(make, mr):
    stored = (mr // 4).astype(np.uint8)
    (slice_,) = read(palette(make, stored, 0, 8, np.arange(256) // 20 + 200, 1))
    assert len(np.unique(slice_.pixels)) > 100
    assert slice_.notes == ("the palette shows next to nothing: passed over",)


def test_deep_colour_of_dicom_is_scaled_by_its_own_range(make, mr):
    grey = make.dicom(np.stack([mr] * 3, axis=-1))
    assert np.array_equal(pixels(grey), pixels(make.dicom(mr)))
    colour = np.stack([mr, mr // 2, mr // 4], axis=-1)
    result = pixels(make.dicom(colour))
    assert result.shape == (64, 64, 3)
    assert result[..., 0].max() == 255
    assert abs(int(result[..., 1].max()) - 128) <= 3  # on one scale with the others


@pytest.mark.parametrize("bits", [8, 9])
def test_bits_of_colour_that_the_values_contradict(make, mr, bits):
    colours = np.stack([mr] * 3, axis=-1)
    path = make.dicom(colours, BitsStored=bits, HighBit=bits - 1, **RGB)
    assert np.array_equal(pixels(path), pixels(make.dicom(mr)))
    assert read(path)[0].notes == ("BitsStored contradicts the values: all allocated bits are read",)


def test_dim_grey_in_three_channels_is_as_dim_grey_in_one(make, mr):
    dim = (mr // 20).astype(np.uint8)
    (three,) = read(make.dicom(np.stack([dim] * 3, axis=-1), **RGB))
    (one,) = read(make.dicom(dim))
    assert np.array_equal(three.pixels, one.pixels)
    assert three.notes == one.notes != ()
