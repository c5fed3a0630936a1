"""DICOM files: transfer syntaxes, what is refused, facts."""

import hashlib
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from gliascope.errors import DamagedFileError, NotAnImageError, TooLargeError
from gliascope.io import limits, read

# pytest undoes the filters that the readers set.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_rle(make, dtype):
    stored = (np.arange(384).reshape(16, 24) % 200 - (100 if dtype == np.int16 else 0)).astype(dtype)
    options = {"WindowCenter": 50, "WindowWidth": 120}
    assert np.array_equal(pixels(make.dicom_rle(stored, **options)), pixels(make.dicom(stored, **options)))


def test_jpeg_2000(make, ramp, deep):
    options = {"WindowCenter": 1900, "WindowWidth": 3000}
    assert np.array_equal(pixels(make.dicom_pillow(ramp)), ramp)
    assert np.array_equal(pixels(make.dicom_pillow(deep, **options)), pixels(make.dicom(deep, **options)))


def test_jpeg(make):
    smooth = np.add.outer(np.arange(32, dtype=np.uint8), np.arange(40, dtype=np.uint8)) * 3
    assert np.abs(pixels(make.dicom_pillow(smooth, quality=95)).astype(int) - smooth).max() <= 4


def test_colour_jpeg(make):
    colour = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    path = make.dicom_pillow(colour, quality=95, PhotometricInterpretation="YBR_FULL_422")
    assert np.abs(pixels(path)[4, 4].astype(int) - [200, 100, 50]).max() <= 4


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_byte_orders(make, deep, syntax):
    dataset = make.dataset(deep)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = deep.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(pixels(make.save(dataset)), pixels(make.dicom(deep)))


def test_deflated(make, deep, monkeypatch):
    dataset = make.dataset(deep)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = make.save(dataset)
    assert np.array_equal(pixels(path), pixels(make.dicom(deep)))
    monkeypatch.setattr(limits, "MAX_BYTES", deep.nbytes)  # pixels fit, all that is inflated does not
    monkeypatch.setattr(limits, "check_file", lambda path, size: None)
    with pytest.raises(TooLargeError):
        read(path)


def test_a_deflated_bomb_is_not_inflated(make, ramp, monkeypatch):
    dataset = make.dataset(ramp)
    dataset.PixelData = bytes(64 * 2**20)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = make.save(dataset)
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="decoded"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_without_preamble_and_meta(make, deep, syntax):
    dataset = make.dataset(deep)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = deep.astype(">u2").tobytes()
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    content = make.save(dataset).read_bytes()
    meta = 144 + int.from_bytes(content[140:144], "little")
    assert np.array_equal(pixels(make.bytes(content[meta:])), pixels(make.dicom(deep)))


def test_what_only_begins_like_dicom_is_not_recognised(make):
    with pytest.raises(NotAnImageError, match="not recognised"):
        read(make.bytes(b"\x08\0\x05\0CS\x0a\0ISO_IR 100"[:7]))


def test_without_pixels_it_is_not_an_image(make, ramp):
    dataset = make.dataset(ramp)
    del dataset.PixelData
    dataset.SOPClassUID = BasicTextSRStorage
    with pytest.raises(NotAnImageError, match=r"without pixel data \(Basic Text SR Storage\)"):
        read(make.save(dataset))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.53", JPEGExtended12Bit, "1.2.3.4.5"])
def test_a_syntax_without_decoder_is_named(make, deep, syntax):
    content = make.dicom_pillow(deep).read_bytes()
    name = b"1.2.840.10008.1.2.4.90"
    assert name in content
    content = content.replace(name, str(syntax).encode().ljust(len(name), b"\0"))
    with pytest.raises(NotAnImageError, match="no decoder"):
        read(make.bytes(content))


def test_errors_quote_no_text_of_the_file(make, ramp):
    dataset = make.dataset(ramp, PatientID="P")
    del dataset.PixelData
    content = (
        make.save(dataset).read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.4", b"SECRET\nof the patient's    ")
    )
    with pytest.raises(NotAnImageError, match=r"without pixel data$"):
        read(make.bytes(content))


def test_limits_are_checked_before_decoding(make, ramp):
    for elements in ({"Rows": 60_000, "Columns": 60_000}, {"NumberOfFrames": limits.MAX_SLICES + 1}):
        with pytest.raises(TooLargeError):
            read(make.dicom(ramp, **elements))
    with pytest.raises(DamagedFileError, match="impossible size"):
        read(make.dicom(ramp, Rows=0))


def test_a_frame_larger_than_stated_is_refused_unread(make, ramp):
    path = make.dicom_pillow(ramp, frame=np.zeros((64, 64), np.uint8))
    with pytest.raises(DamagedFileError, match="size that the file states"):
        read(path)


def test_facts(make, ramp):
    path = make.dicom(
        ramp, PatientID=" P 1 ", StudyInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3.5",
        PixelSpacing=[0.5, 0.75],
    )  # fmt: skip
    (slice_,) = read(path)
    assert slice_.modality == "MR"
    assert slice_.spacing == (0.5, 0.75)
    assert slice_.patient == hashlib.blake2b(b"P 1", digest_size=8).hexdigest()
    assert slice_.study == hashlib.blake2b(b"1.2.3.4", digest_size=8).hexdigest()
    assert slice_.series == hashlib.blake2b(b"1.2.3.5", digest_size=8).hexdigest()
    assert len(slice_.patient) == 16


def test_facts_that_are_absent_or_senseless_are_none(make, ramp):
    (slice_,) = read(make.dicom(ramp, PatientID="", PixelSpacing=[0, 1]))
    assert (slice_.patient, slice_.study, slice_.series, slice_.spacing) == (None,) * 4
    (slice_,) = read(make.dicom(ramp, ImagerPixelSpacing=[0.1, 0.2]))
    assert slice_.spacing == (0.1, 0.2)


def test_nothing_of_the_patient_is_printed(make, ramp):
    """Values that pydicom warns of, and a failure that it explains, in a fresh interpreter."""
    dataset = make.dataset(ramp, PatientName="SECRET^NAME", PatientID="P", NumberOfFrames=1)
    dataset.SpecificCharacterSet, dataset.StudyInstanceUID = "ISO_IR 100", "1.2.3.45"
    content = make.save(dataset).read_bytes()
    bad = content.replace(b"ISO_IR 100", b"SECRET_SET").replace(b"1.2.3.45", b"SECRET_U")
    worse = bad.replace(b"IS\x02\x001 ", b"IS\x02\x00SE")
    assert content != bad != worse
    code = (
        "import logging, sys; logging.basicConfig(level=0)\n"
        "from gliascope.io import read\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(read(path)[0])\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-W", "always", "-c", code, make.bytes(bad), make.bytes(worse)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Slice(" in done.stdout
    assert "DamagedFileError" in done.stdout
    assert "SECRET" not in done.stdout + done.stderr
    assert "warning" not in done.stderr.lower()


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([0.98, 0.1, 0.17, -0.1, 0.99, 0.05], "axial"),  # oblique: the nearest
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 1, 0, 0], None),
        ([1, 0, 0], None),
        (None, None),
    ],
)
def test_the_plane_is_that_of_the_orientation(make, ramp, orientation, plane):
    stated = {} if orientation is None else {"ImageOrientationPatient": orientation}
    (slice_,) = read(make.dicom(ramp, **stated))
    assert slice_.plane == plane
