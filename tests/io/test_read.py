"""What holds for every format, and for files that are none."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from gliascope.errors import DamagedFileError, NotAnImageError, ReadError, TooLargeError
from gliascope.io import FORMATS, Format, limits, read

# pytest undoes the filters that the readers set.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")

RAMP = (np.arange(48, dtype=np.uint8) * 5).reshape(6, 8)
VOLUME = np.arange(6 * 8 * 3, dtype=np.int16).reshape(6, 8, 3)

# format, builder, slices in the file
KINDS = {
    "jpeg": ("jpeg", lambda make: make.image(RAMP, "JPEG"), 1),
    "png": ("png", lambda make: make.image(RAMP, "PNG"), 1),
    "bmp": ("bmp", lambda make: make.image(RAMP, "BMP"), 1),
    "tiff": ("tiff", lambda make: make.image(RAMP, "TIFF"), 1),
    "webp": ("webp", lambda make: make.image(RAMP, "WEBP", lossless=True), 1),
    "dicom": ("dicom", lambda make: make.dicom(RAMP), 1),
    "dicom rle": ("dicom", lambda make: make.dicom_rle(np.stack([RAMP, RAMP + 1]), frames=2), 2),
    "dicom jpeg 2000": ("dicom", lambda make: make.dicom_pillow(RAMP), 1),
    "nifti 1": ("nifti", lambda make: make.nifti(VOLUME), 3),
    "nifti 2": ("nifti", lambda make: make.nifti(VOLUME, version=2), 3),
    "nifti gz": ("nifti", lambda make: make.nifti(VOLUME, packed=True), 3),
    "figshare": ("figshare-mat", lambda make: make.figshare(VOLUME[..., 0]), 1),
    "figshare 5": ("figshare-mat", lambda make: make.matlab5(image=VOLUME[..., 0]), 1),
}


@pytest.fixture(params=KINDS, ids=str)
def kind(request):
    return KINDS[request.param]


def test_every_format_gives_slices_of_one_kind(make, kind):
    name, build, count = kind
    path = build(make)
    slices = read(str(path))
    assert [slice_.index for slice_ in slices] == list(range(count))
    for slice_ in slices:
        assert slice_.pixels.dtype == np.uint8
        assert slice_.pixels.ndim == 2
        assert slice_.pixels.flags.c_contiguous
        assert slice_.pixels.max() > slice_.pixels.min()
        assert (slice_.format, slice_.path) == (name, path)


def test_every_format_is_read_by_url(make, kind, s3):
    _, build, _ = kind
    path = build(make)
    url = s3(path)
    expected, found = read(path), read(url)
    assert [str(slice_.path) for slice_ in found] == [url] * len(expected)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(expected, found, strict=True))


def test_no_extension_changes_what_is_read(make, kind):
    _, build, _ = kind
    path = build(make)
    expected = [slice_.pixels for slice_ in read(path)]
    for extension in (".jpg", ".png", ".dcm", ".nii.gz", ".mat", ".txt"):
        path = path.rename(path.with_name(f"other{extension}"))
        assert all(np.array_equal(a, b.pixels) for a, b in zip(expected, read(path), strict=True))


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_file_is_damaged(make, kind, kept):
    # Large and noisy enough for the cut to fall into the pixels, in the headers' favour.
    name, _, _ = kind
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    deep = np.random.default_rng(0).integers(0, 999, (64, 64, 4), np.int16)
    path = {
        "dicom": lambda: make.dicom(noise), "nifti": lambda: make.nifti(deep, packed=True),
        "figshare-mat": lambda: make.figshare(deep[..., 0]),
    }.get(name, lambda: make.image(noise, name))()  # fmt: skip
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DamagedFileError, match="damaged"):
        read(path)


def test_a_truncated_frame_is_damaged(make):
    content = make.dicom_pillow(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).read_bytes()
    with pytest.raises(DamagedFileError):
        read(make.bytes(content[:-1000]))


def test_damaged_files_never_raise_anything_else(make, kind):
    """A small fuzz, the same each time: bytes changed, removed, inserted, cut off."""
    _, build, _ = kind
    content = build(make).read_bytes()
    path = make.path()
    outcomes = set()
    for seed in range(150):
        path.write_bytes(_mutated(content, seed))
        try:
            read(path)
        except ReadError as error:
            assert "\n" not in str(error)
            assert str(error).startswith(f"{path}: ")
            outcomes.add(type(error))
    assert DamagedFileError in outcomes


def _mutated(content: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 12])):
        at = int(rng.integers(len(data) if rng.random() < 0.5 else min(600, len(data))))
        match rng.integers(5):
            case 0:
                data[at : at + 1] = rng.bytes(1)
            case 1:
                data[at : at + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"]
                )
            case 2 if len(data) > 64:
                del data[at : at + int(rng.integers(1, 24))]
            case 3:
                data[at:at] = rng.bytes(4)
            case 4 if rng.random() < 0.2:
                del data[max(at, 1) :]
    return bytes(data)


def test_a_missing_file_is_a_read_error(tmp_path):
    with pytest.raises(ReadError, match="not found") as caught:
        read(tmp_path / "absent.png")
    assert caught.value.reason == "not found"
    assert caught.value.path == tmp_path / "absent.png"


def test_a_folder_is_not_an_image(tmp_path):
    with pytest.raises(NotAnImageError, match="is a folder"):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of Unix")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAnImageError, match="no regular file"):
        read(tmp_path / "pipe")


def test_a_file_without_permission_is_a_read_error(make, monkeypatch):
    path = make.image(RAMP, "PNG")

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    # Not chmod: tests may run as root, whom nothing stops.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ReadError, match="no permission"):
        read(path)


@pytest.mark.parametrize("name", ["null\0byte", "n" * 300])
def test_an_impossible_name_is_a_read_error(tmp_path, name):
    with pytest.raises(ReadError):
        read(tmp_path / name)


def test_an_empty_file_is_damaged(make):
    with pytest.raises(DamagedFileError, match="empty file"):
        read(make.bytes(b""))


@pytest.mark.parametrize(
    "content",
    [
        b"just text",
        b"BM but not a bitmap",
        b"\0",
        b"\x1f\x8b",
        gzip.compress(b"text", mtime=0),  # else the time stands in the test's name
        bytes(5000),
        b"PK\x03\x04",
    ],
)
def test_other_content_is_not_an_image_whatever_its_name(tmp_path, content):
    path = tmp_path / "scan.jpg"
    path.write_bytes(content)
    with pytest.raises(NotAnImageError, match="not recognised"):
        read(path)


def test_a_file_over_the_limit_is_refused_unread(make):
    path = make.image(RAMP, "PNG")
    os.truncate(path, limits.MAX_BYTES + 1)  # a hole, which takes no space
    with pytest.raises(TooLargeError, match="over 512 MiB"):
        read(path)


def test_running_out_of_memory_is_a_read_error(make, monkeypatch):
    def exhausted(path, file):
        raise MemoryError

    monkeypatch.setattr(Format, "reader", lambda self: exhausted)
    with pytest.raises(TooLargeError, match="memory"):
        read(make.image(RAMP, "PNG"))


def test_importing_read_loads_no_decoder():
    import subprocess
    import sys

    heavy = "{'PIL', 'pydicom', 'nibabel', 'h5py', 'torch'}"
    code = f"import sys, gliascope.io; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_format_has_a_reader():
    for format_ in FORMATS:
        assert callable(format_.reader())


def test_a_tiff_header_in_the_preamble_leaves_dicom_dicom(make):
    content = make.dicom(RAMP).read_bytes()
    (slice_,) = read(make.bytes(b"II*\0" + content[4:]))
    assert slice_.format == "dicom"
