"""DICOM files with small faults: completed where one value is possible, else the element is named."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from gliascope.errors import DamagedFileError, NotAnImageError, ReadError
from gliascope.io import read

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")

COLOUR = (np.arange(6 * 8 * 3) % 251).astype(np.uint8).reshape(6, 8, 3)


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def without(make, stored, *names, **elements):
    dataset = make.dataset(stored, **elements)
    for name in names:
        del dataset[name]
    return make.save(dataset)


@pytest.mark.parametrize(
    "name",
    ["SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"],
)
def test_what_can_be_one_thing_only_is_completed(make, deep, name):
    assert np.array_equal(pixels(without(make, deep, name)), pixels(make.dicom(deep)))


def test_so_is_colour(make):
    assert np.array_equal(pixels(without(make, COLOUR, "SamplesPerPixel", "PixelRepresentation")), COLOUR)


@pytest.mark.parametrize("name", ["Rows", "Columns", "PhotometricInterpretation"])
@pytest.mark.parametrize("empty", [False, True])
def test_what_can_be_several_is_named(make, deep, name, empty):
    path = make.dicom(deep, **{name: None}) if empty else without(make, deep, name)
    with pytest.raises(ReadError, match=rf"missing \({name} \(0028,.*export the file again") as caught:
        read(path)
    assert not isinstance(caught.value, DamagedFileError)


def test_the_sign_of_large_values_is_not_guessed(make):
    deep = np.full((6, 8), 40_000, np.uint16)
    deep[2:] = 7
    with pytest.raises(ReadError, match="PixelRepresentation"):
        read(without(make, deep, "PixelRepresentation"))


def test_nor_is_the_order_of_colours(make):
    with pytest.raises(ReadError, match="PlanarConfiguration"):
        read(without(make, COLOUR, "PlanarConfiguration"))


@pytest.mark.parametrize("written", ["monochrome2", " MONOCHROME2", "MONOCHROME2\0", "Monochrome 2"])
def test_photometric_interpretation_however_it_is_written(make, deep, written):
    content = make.dicom(deep, PhotometricInterpretation="MONOCHROME2     ").read_bytes()
    odd = written.ljust(16).encode()
    assert content.count(b"MONOCHROME2     ") == 1
    path = make.bytes(content.replace(b"MONOCHROME2     ", odd))
    assert np.array_equal(pixels(path), pixels(make.dicom(deep)))


def test_monochrome1_in_lower_case_is_inverted(make, ramp):
    assert np.array_equal(pixels(make.dicom(ramp, PhotometricInterpretation="monochrome1")), ~ramp)


def test_an_unknown_one_is_named_and_not_quoted(make, ramp):
    with pytest.raises(NotAnImageError, match="PhotometricInterpretation") as caught:
        read(make.dicom(ramp, PhotometricInterpretation="SECRET"))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("before", [bytes(128), b"DICM", b" " * 128])
def test_half_a_preamble(make, deep, syntax, before):
    dataset = make.dataset(deep)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = deep.astype(">u2").tobytes()
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    content = make.save(dataset).read_bytes()
    meta = 144 + int.from_bytes(content[140:144], "little")
    for start in (132, meta):  # with and without file meta information
        assert np.array_equal(pixels(make.bytes(before + content[start:])), pixels(make.dicom(deep)))


def test_half_a_preamble_in_the_other_process(make, deep):
    content = make.gdcm(deep, "JPEGLosslessProcess14_1").read_bytes()
    assert np.array_equal(pixels(make.bytes(bytes(128) + content[132:])), pixels(make.dicom(deep)))


@pytest.mark.parametrize("number", [b"  ", b"0 ", b"1\0", b" 1"])
def test_number_of_frames_of_one_however_it_is_written(make, ramp, number):
    content = make.dicom(ramp, NumberOfFrames=1).read_bytes()
    assert content.count(b"IS\x02\x001 ") == 1
    path = make.bytes(content.replace(b"IS\x02\x001 ", b"IS\x02\x00" + number))
    assert np.array_equal(pixels(path), ramp)


@pytest.mark.parametrize(
    ("written", "vr"),
    [
        (b"US\x02\x00\x06\x00", b"UN\x00\x00\x02\x00\x00\x00\x06\x00"),
        (b"US\x02\x00\x06\x00", b"IS\x02\x006 "),
    ],
)
def test_rows_of_another_vr(make, ramp, written, vr):
    content = make.dicom(ramp).read_bytes()
    tag = b"\x28\x00\x10\x00"
    assert content.count(tag + written) == 1
    assert np.array_equal(pixels(make.bytes(content.replace(tag + written, tag + vr))), ramp)


def test_a_value_that_is_no_number_is_named(make, ramp):
    content = make.dicom(ramp).read_bytes()
    old, new = b"\x28\x00\x10\x00US\x02\x00\x06\x00", b"\x28\x00\x10\x00LO\x04\x00SECR"
    with pytest.raises(DamagedFileError, match=r"Rows \(0028,0010\) is no whole number") as caught:
        read(make.bytes(content.replace(old, new)))
    assert "SECR" not in str(caught.value)


def test_elements_that_contradict_each_other_are_named(make, ramp):
    with pytest.raises(DamagedFileError, match="SamplesPerPixel is 3"):
        read(make.dicom(ramp, SamplesPerPixel=3))
    with pytest.raises(DamagedFileError, match="BitsStored is 16"):
        read(make.dicom(ramp, BitsStored=16))
    with pytest.raises(NotAnImageError, match="BitsAllocated"):
        read(make.dicom(ramp, BitsAllocated=12))


def test_compressed_pixels_without_a_transfer_syntax(make, ramp):
    content = make.dicom_pillow(ramp).read_bytes()
    name = b"1.2.840.10008.1.2.4.90"
    plain = b"1.2.840.10008.1.2.1".ljust(len(name), b"\0")
    with pytest.raises(ReadError, match="TransferSyntaxUID") as caught:
        read(make.bytes(content.replace(name, plain)))
    assert not isinstance(caught.value, DamagedFileError)


def test_a_palette_that_is_not_there_is_no_damage(make, ramp):
    with pytest.raises(ReadError, match="element missing") as caught:
        read(make.dicom(ramp, PhotometricInterpretation="PALETTE COLOR"))
    assert "Palette" in str(caught.value)
    assert not isinstance(caught.value, DamagedFileError)
