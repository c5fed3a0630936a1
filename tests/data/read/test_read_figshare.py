"""The figshare dataset's MATLAB v7.3 files."""

import hashlib
import sys

import numpy as np
import pytest

from gliascope.data.read import limits, read
from gliascope.errors import DamagedFileError, NotAnImageError, ReadError, TooLargeError

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
