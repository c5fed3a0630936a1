"""The figshare dataset's MATLAB v7.3 files."""

import contextlib
import hashlib
import sys

import numpy as np
import pytest

from gliascope.errors import DamagedFileError, NotAnImageError, ReadError, TooLargeError
from gliascope.io import limits, read

h5py = pytest.importorskip("h5py")
IMAGE = (np.arange(20 * 30, dtype=np.int16) * 7).reshape(20, 30)
MASK = np.zeros((20, 30), np.uint8)
MASK[3:6, 20:28] = 1


def as_matlab(text):
    return np.array([[ord(letter)] for letter in text], np.uint16)


@pytest.mark.parametrize("user_block", [0, 512, 1024])
def test_a_whole_file(make, user_block):
    path = make.figshare(
        IMAGE, user_block, label=np.array([[2.0]]), PID=as_matlab("MR040214F"), tumorMask=MASK.T
    )
    (slice_,) = read(path)
    low, high = np.percentile(IMAGE, (0.5, 99.5))
    assert np.abs(slice_.pixels - np.clip((IMAGE - low) / (high - low), 0, 1) * 255).max() <= 0.5 + 1e-6
    assert slice_.mask.dtype == bool
    assert np.array_equal(slice_.mask, MASK == 1)
    assert slice_.label == "glioma"
    assert slice_.patient == hashlib.blake2b(b"MR040214F", digest_size=8).hexdigest()
    assert slice_.format == "figshare-mat"


@pytest.mark.parametrize(("code", "label"), [(1, "meningioma"), (2, "glioma"), (3, "pituitary"), (4, None)])
def test_labels(make, code, label):
    assert read(make.figshare(IMAGE, label=np.array([[float(code)]])))[0].label == label


def test_only_the_image_is_needed(make):
    (slice_,) = read(make.figshare(IMAGE))
    assert (slice_.label, slice_.patient, slice_.mask) == (None, None, None)


def test_an_empty_mask_is_none(make):
    empty = make.figshare(IMAGE, label=2, tumorMask=np.zeros((0, 0)))
    by_matlab = make.figshare(IMAGE, label=2, tumorMask=np.zeros(2, np.uint64))
    with h5py.File(by_matlab, "r+") as content:
        content["cjdata/tumorMask"].attrs["MATLAB_empty"] = 1
    version5 = make.matlab5(image=IMAGE, label=2.0, tumorMask=np.zeros((0, 0)))
    for path in (empty, by_matlab, version5):
        assert [(one.label, one.mask) for one in read(path)] == [("glioma", None)]


def test_other_hdf5_is_not_an_image(make):
    path = make.path()
    with h5py.File(path, "w") as content:
        content["weights"] = np.zeros(3)
    with pytest.raises(NotAnImageError, match=r"without cjdata\.image"):
        read(path)


def test_inconsistent_parts_are_damaged(make):
    with pytest.raises(DamagedFileError, match="tumorMask"):
        read(make.figshare(IMAGE, tumorMask=MASK))
    with pytest.raises(DamagedFileError, match="no grey image"):
        read(make.figshare(np.zeros((2, 3, 4), np.int16)))


def test_limits_are_checked_before_reading(make):
    path = make.path()
    with h5py.File(path, "w") as content:
        content.create_dataset("cjdata/image", (60_000, 60_000), "i2", chunks=(1000, 1000))
    assert path.stat().st_size < 2**20 < limits.MAX_BYTES
    with pytest.raises(TooLargeError):
        read(path)


def test_no_other_file_is_read_through_it(make):
    secret = make.bytes(b"secret" * 100)
    path = make.path()
    with h5py.File(path, "w") as content:
        content.create_dataset("cjdata/image", (10, 10), "u1", external=[(str(secret), 0, 100)])
    with pytest.raises(NotAnImageError, match="another file"):
        read(path)
    other, path = make.figshare(IMAGE), make.path()
    with h5py.File(path, "w") as content:
        content["cjdata"] = h5py.ExternalLink(str(other), "cjdata")
    with pytest.raises(NotAnImageError, match="without cjdata"):
        read(path)


def test_without_h5py_the_error_names_the_extra(make, monkeypatch):
    path = make.figshare(IMAGE)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ReadError, match=r"h5py is not installed .*gliascope\[data\]"):
        read(path)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64])
def test_matlab_5(make, compress, dtype):
    image = (np.arange(600) % 250).reshape(20, 30).astype(dtype)
    parts = {"label": 2.0, "PID": "MR040214F", "tumorMask": MASK}
    (slice_,) = read(make.matlab5(compress, image=image, **parts))
    (expected,) = read(
        make.figshare(image, label=np.array([[2.0]]), PID=as_matlab("MR040214F"), tumorMask=MASK.T)
    )
    assert np.array_equal(slice_.pixels, expected.pixels)
    assert np.array_equal(slice_.mask, expected.mask)
    assert (slice_.label, slice_.patient, slice_.format) == ("glioma", expected.patient, "figshare-mat")


def test_matlab_5_needs_no_h5py(make, monkeypatch):
    path = make.matlab5(image=IMAGE)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert read(path)[0].pixels.shape == (20, 30)


def test_other_matlab_5_is_not_an_image(make):
    with pytest.raises(NotAnImageError, match=r"without cjdata\.image"):
        read(make.matlab5(label=1.0))


def test_damaged_matlab_5_never_raises_anything_else(make):
    content = make.matlab5(True, image=IMAGE, label=1.0, PID="P").read_bytes()
    plain = make.matlab5(image=IMAGE, label=1.0, PID="P").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(300):
        data = bytearray((content, plain)[number % 2])
        for at in rng.integers(124, len(data), 3):
            data[at] = rng.integers(256)
        with contextlib.suppress(ReadError):
            read(make.bytes(bytes(data[: rng.integers(200, len(data) + 1)])))


@pytest.mark.parametrize("identifier", ["P1", b"P1", np.array([["P1"]], object), as_matlab("P1")])
def test_a_patient_however_it_is_written(make, identifier):
    same = hashlib.blake2b(b"P1", digest_size=8).hexdigest()
    if isinstance(identifier, np.ndarray) and identifier.dtype == object:
        identifier = identifier.astype(h5py.string_dtype())
    assert read(make.figshare(IMAGE, PID=identifier))[0].patient == same
    if isinstance(identifier, str):
        assert read(make.matlab5(image=IMAGE, PID=identifier))[0].patient == same
        cell = np.empty((1, 1), object)
        cell[0, 0] = identifier
        assert read(make.matlab5(image=IMAGE, PID=cell))[0].patient == same


def test_a_patient_that_is_a_number_is_its_digits(make):
    same = read(make.figshare(IMAGE, PID=as_matlab("100360")))[0].patient
    assert read(make.figshare(IMAGE, PID=np.array([[100360.0]])))[0].patient == same
    assert read(make.matlab5(image=IMAGE, PID=100360.0))[0].patient == same


def test_a_patient_in_a_cell(make):
    path = make.figshare(IMAGE)
    with h5py.File(path, "r+") as content:
        content["#refs#/b"] = as_matlab("P1")
        content["cjdata"].create_dataset("PID", (1, 1), h5py.ref_dtype)[0, 0] = content["#refs#/b"].ref
    assert read(path)[0].patient == hashlib.blake2b(b"P1", digest_size=8).hexdigest()


@pytest.mark.parametrize("value", [2, 2.0, np.uint16(2), np.array([[2]], np.uint8), "2", "glioma", "Glioma "])
def test_a_label_however_it_is_written(make, value):
    assert read(make.figshare(IMAGE, label=value))[0].label == "glioma"
    assert read(make.matlab5(image=IMAGE, label=value))[0].label == "glioma"


@pytest.mark.parametrize(("name", "value"), [("label", 1.5), ("label", np.nan), ("PID", [[1.0, 2.0]])])
def test_a_field_that_is_not_understood_is_named(make, name, value):
    for path in (make.figshare(IMAGE, **{name: value}), make.matlab5(image=IMAGE, **{name: value})):
        with pytest.raises(ReadError, match=rf"cjdata.{name} is not understood .*save it as") as caught:
            read(path)
        assert not isinstance(caught.value, DamagedFileError)
