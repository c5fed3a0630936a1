"""Stored values of DICOM: padding, the bits that hold them, and their sign."""

import numpy as np
import pytest

from gliascope.io import read

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def padded(values, where, padding, dtype):
    return np.where(where, padding, values.astype(np.int64)).astype(dtype)


@pytest.mark.parametrize(
    ("padding", "dtype", "vr"),
    [
        (-32768, np.int16, "SS"),
        (-2000, np.int16, "SS"),
        (-2000, np.int16, "US"),  # as 63536
        (65535, np.uint16, "US"),
        (65535, np.uint16, "SS"),  # as -1
    ],
)
def test_padding_counts_for_nothing_and_is_black(make, mr, outside, padding, dtype, vr):
    dataset = make.dataset(padded(mr, outside, padding, dtype))
    stated = padding % 2**16 if vr == "US" else padding - 2**16 * (padding >= 2**15)
    dataset.add_new("PixelPaddingValue", vr, stated)
    assert np.array_equal(pixels(make.save(dataset)), pixels(make.dicom(mr)))


@pytest.mark.parametrize("ends", [(60000, 65535), (65535, 60000)])
def test_a_range_of_padding(make, mr, outside, ends):
    stored = mr.copy()
    stored[outside] = np.linspace(60000, 65535, outside.sum()).astype(np.uint16)
    path = make.dicom(stored, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
    assert np.array_equal(pixels(path), pixels(make.dicom(mr)))


def test_padding_is_of_stored_values_also_with_rescale_and_window(make, ct, outside):
    stored = padded(ct + 1024, outside, -2000, np.int16)
    options = {"Modality": "CT", "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 4000}
    result = pixels(make.dicom(stored, PixelPaddingValue=-2000, **options))
    assert result[outside].max() == 0
    whole = pixels(make.dicom(padded(ct + 1024, outside, 0, np.int16), **options))
    assert np.array_equal(result[~outside], whole[~outside])
    # -976 HU is not black in this window; -2000 means it is padding.
    high = make.dicom(padded(ct + 1024, outside, 4095, np.int16), PixelPaddingValue=4095, **options)
    assert np.array_equal(pixels(high), result)


def test_padding_is_black_in_monochrome1_too(make, mr, outside):
    stored = padded(1000 - mr.astype(np.int64), outside, -32768, np.int16)
    path = make.dicom(stored, PixelPaddingValue=-32768, PhotometricInterpretation="MONOCHROME1")
    assert pixels(path)[outside].max() == 0
    assert np.abs(pixels(path).astype(int) - pixels(make.dicom(mr))).max() <= 1


def test_padding_without_its_element_counts_for_nothing_either(make, mr, outside):
    stored = padded(mr, outside, -32768, np.int16)
    assert np.array_equal(pixels(make.dicom(stored)), pixels(make.dicom(mr)))


def test_high_padding_without_its_element_is_black_in_a_window_too(make, mr, outside):
    window = {"WindowCenter": 500, "WindowWidth": 1000}
    path = make.dicom(padded(mr, outside, 65535, np.uint16), **window)
    assert np.array_equal(pixels(path), pixels(make.dicom(mr, **window)))


@pytest.mark.parametrize("vr", ["DS", "IS", "LO"])
def test_padding_stated_as_text(make, mr, outside, vr):
    dataset = make.dataset(padded(mr, outside, 2000, np.uint16))
    dataset.add_new("PixelPaddingValue", vr, "2000")  # four bytes, as a binary number has
    assert np.array_equal(pixels(make.save(dataset)), pixels(make.dicom(mr)))


def test_padding_of_float_pixels(make, mr, outside):
    values = np.where(outside, np.float32(-7), mr.astype(np.float32))

    def saved(values, **elements):
        dataset = make.dataset(values.view(np.uint32), **elements)
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        dataset.FloatPixelData = values.tobytes()
        return make.save(dataset)

    reference = pixels(saved(mr.astype(np.float32)))
    assert np.array_equal(pixels(saved(values, FloatPixelPaddingValue=-7.0)), reference)
    limits = {"FloatPixelPaddingValue": -8.0, "FloatPixelPaddingRangeLimit": -6.0}
    assert np.array_equal(pixels(saved(values, **limits)), reference)


def test_stale_padding_in_the_midst_of_tissue_is_not_believed(make, mr):
    value = int(np.median(mr[mr > 0]))
    assert np.array_equal(pixels(make.dicom(mr, PixelPaddingValue=value)), pixels(make.dicom(mr)))


def test_nothing_but_padding_is_a_blank_slice(make):
    stored = np.full((8, 8), -32768, np.int16)
    assert pixels(make.dicom(stored, PixelPaddingValue=-32768)).max() == 0


def test_padding_of_frames(make, mr, outside):
    frames = np.stack([padded(mr, outside, 65535, np.uint16)] * 2)
    one = pixels(make.dicom(mr))
    for frame in read(make.dicom(frames, frames=2, PixelPaddingValue=65535)):
        assert np.array_equal(frame.pixels, one)


@pytest.mark.parametrize("rle", [False, True])
def test_high_bit_says_where_the_value_lies(make, mr, rle):
    reference = pixels(make.dicom(mr))
    save = make.dicom_rle if rle else make.dicom
    low = {"BitsStored": 12, "HighBit": 11}
    assert np.array_equal(pixels(save(mr << 4, BitsStored=12, HighBit=15)), reference)
    assert np.array_equal(pixels(save(mr, **low)), reference)


def test_bits_beside_the_value_are_none_of_it(make, mr):
    """The retired way to lay an overlay into unused bits."""
    dataset = make.dataset(mr | 0x8000, BitsStored=12, HighBit=11)
    dataset.add_new(0x60000102, "US", 15)
    assert np.array_equal(pixels(make.save(dataset)), pixels(make.dicom(mr)))
    assert np.array_equal(pixels(make.dicom(mr << 4 | 5, BitsStored=12, HighBit=15)), pixels(make.dicom(mr)))


def test_signed_values_without_their_sign_bits(make, mr):
    signed = mr.astype(np.int16) - 500
    bare = (signed & 0x0FFF).astype(np.int16)
    assert np.array_equal(pixels(make.dicom(bare, BitsStored=12, HighBit=11)), pixels(make.dicom(signed)))


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (8, 7), (9, 8)])
def test_bits_that_the_values_contradict(make, mr, stored, high):
    """In `mr` the lower four bits are in use, and values go to 1000."""
    (slice_,) = read(make.dicom(mr, BitsStored=stored, HighBit=high))
    assert np.array_equal(slice_.pixels, pixels(make.dicom(mr)))
    assert "contradicts the values" in slice_.notes[0]


def test_a_sign_that_the_values_contradict(make, mr):
    signed = mr.astype(np.int16) - 500
    (below,) = read(make.dicom(signed.view(np.uint16)))
    assert np.array_equal(below.pixels, pixels(make.dicom(signed)))
    deep = (np.linspace(0, 60000, 64 * 64).reshape(64, 64)).astype(np.uint16)
    (above,) = read(make.dicom(deep.view(np.int16)))
    assert np.array_equal(above.pixels, pixels(make.dicom(deep)))
    assert below.notes == above.notes
    assert "PixelRepresentation contradicts the values" in below.notes[0]


@pytest.mark.parametrize("bits", [12, 14])
def test_a_sign_that_values_of_fewer_bits_contradict(make, mr, bits):
    few = {"BitsStored": bits, "HighBit": bits - 1}
    wide = (mr.astype(np.int64) * (3 * 2**bits // 4) // 1000).astype(np.uint16)
    above = make.dicom(wide.view(np.int16), **few)
    assert np.array_equal(pixels(above), pixels(make.dicom(wide)))
    signed = mr.astype(np.int16) - 500
    for stored in (signed & (2**bits - 1), signed):  # without the bits of the sign, and with them
        below = make.dicom(stored.astype(np.uint16), **few)
        assert np.array_equal(pixels(below), pixels(make.dicom(signed)))
    assert "PixelRepresentation contradicts the values" in " ".join(
        read(above)[0].notes + read(below)[0].notes
    )


def test_honest_signs_stay(make, mr):
    signed = make.dicom((np.linspace(-32768, 32767, 4096).reshape(64, 64)).astype(np.int16))
    unsigned = make.dicom((np.linspace(0, 65535, 4096).reshape(64, 64)).astype(np.uint16))
    assert [read(path)[0].notes for path in (signed, unsigned)] == [(), ()]
    assert np.abs(pixels(signed).astype(int) - pixels(unsigned)).max() <= 1
