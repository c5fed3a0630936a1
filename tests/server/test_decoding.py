"""Files, also hostile ones, decoded in real processes under real limits."""

import gzip
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from decoders import LIMITS, PREPROCESSING, decode, processes, rejected, with_decoder
from PIL import Image

from gliascope.errors import ReadError
from gliascope.inference.predict import prepare
from gliascope.io import read
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.server import worker
from gliascope.server.api_error import ApiError
from gliascope.server.decode_limits import DecodeLimits
from gliascope.server.decoding import Decoder
from gliascope.server.settings import Settings


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(100, 20, (20, 22, 5)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([1, 2, 3, 1])), tmp_path / "volume.nii")
    return tmp_path / "volume.nii"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_what_comes_back_is_what_prepare_gives(volume: Path, picture: Path) -> None:
    async def both(decoder: Decoder) -> list[list[object]]:
        return [await decoder.decode(path, PREPROCESSING) for path in (volume, picture)]

    for path, found in zip((volume, picture), with_decoder(both), strict=True):
        expected = prepare(path, PREPROCESSING)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one.slice.pixels, other.slice.pixels)
            assert np.array_equal(one.input, other.input)
            for name in ("path", "index", "format", "modality", "spacing", "study", "series", "plane"):
                assert getattr(one.slice, name) == getattr(other.slice, name)


def test_slices_of_several_sizes_and_colours_keep_theirs(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full(shape, 9, np.uint8)) for shape in ((4, 6), (8, 3))]
    pages.append(Image.fromarray(np.arange(90, dtype=np.uint8).reshape(5, 6, 3)))
    pages[0].save(tmp_path / "pages", "TIFF", save_all=True, append_images=pages[1:])
    found = decode(tmp_path / "pages")
    assert [one.slice.pixels.shape for one in found] == [(4, 6), (8, 3), (5, 6, 3)]
    assert np.array_equal(found[2].slice.pixels, np.asarray(pages[2]))
    assert all(
        np.array_equal(one.input, preprocess(item.pixels, PREPROCESSING))
        for one, item in zip(found, read(tmp_path / "pages"), strict=True)
    )


def test_arrays_cannot_be_written_and_outlive_the_next_reading(picture: Path) -> None:
    async def twice(decoder: Decoder) -> None:
        (first,) = await decoder.decode(picture, PREPROCESSING)
        (second,) = await decoder.decode(picture, Preprocessing(size=16))
        assert first.input.shape == (32, 32)
        assert second.input.shape == (16, 16)
        with pytest.raises(ValueError, match="read-only"):
            first.slice.pixels[0, 0] = 1

    with_decoder(twice)


def test_a_patient_stays_in_the_worker(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    path = Path(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    target = tmp_path / "file"
    target.write_bytes(path.read_bytes())
    (one,) = decode(target)
    assert prepare(target, PREPROCESSING)[0].slice.patient is not None
    assert one.slice.patient is None
    assert one.slice.modality == "MR"


def test_a_file_that_cannot_be_read_says_why_without_our_paths(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"some text")
    with rejected("format not recognised"):
        decode(tmp_path / "text")
    (tmp_path / "hdf").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    with pytest.raises(ReadError) as caught:
        decode(tmp_path / "hdf")
    assert str(tmp_path) not in caught.value.reason + caught.value.detail
    failure = worker._failure(tmp_path / "x", ReadError("x", "why", f"no file {tmp_path / 'x'}"))
    assert failure == worker.DecodeFailure("why")


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_bombs_end_within_time_and_memory(tmp_path: Path) -> None:
    """Each file claims a huge size or unpacks to one; the worker goes on."""
    zeros = zlib.compress(bytes(200 * 2**20), 9)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((2000, 2000, 16))
    header["vox_offset"] = 352
    bombs = {
        "picture over the limit": png(40_000, 40_000, zeros),
        "picture within it": png(7_900, 7_900, zeros),
        "volume": gzip.compress(header.binaryblock + bytes(4) + bytes(2000 * 2000 * 16 * 8), 1),
        "endless volume": gzip.compress(header.binaryblock + bytes(4) + bytes(1000)),
        "slices": gzip.compress(flood(101)),
    }
    limits = replace(LIMITS, memory_bytes=2**30)
    with (tmp_path / "mapped volume").open("wb") as file:
        file.write(header.binaryblock)
        file.truncate(352 + 2000 * 2000 * 16 * 8)

    async def each(decoder: Decoder) -> None:
        before = None
        for name, content in bombs.items():
            (tmp_path / name).write_bytes(content)
        for name in (*bombs, "mapped volume"):
            began = time.monotonic()
            try:
                await decoder.decode(tmp_path / name, PREPROCESSING)
                outcome = "read"
            except ReadError as error:
                outcome = error.reason
            assert time.monotonic() - began < limits.seconds
            expected = {
                "picture over the limit": "over 64 megapixels a slice",
                "volume": "not enough memory to decode it",
                "mapped volume": "not enough memory to decode it",
                "slices": "over 100 slices",
            }
            assert outcome == expected.get(name, outcome)
            assert before in (None, processes(decoder))
            before = processes(decoder)

    with_decoder(each, limits)


def flood(slices: int) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((2, 2, slices))
    header["vox_offset"] = 352
    return bytes(header.binaryblock) + bytes(4 + 4 * slices)


def test_a_dicom_that_claims_65535_frames_is_refused_from_its_header(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    dataset.NumberOfFrames = 65_535
    dataset.save_as(tmp_path / "file")
    with rejected("over 100 slices"):
        decode(tmp_path / "file")


def test_a_full_disk_is_507(small_disk: Path) -> None:
    Image.fromarray(np.zeros((1200, 1200), np.uint8)).save(small_disk / "zeros.png")
    with pytest.raises(ApiError, check=lambda error: (error.status, error.code) == (507, "disk_full")):
        decode(small_disk / "zeros.png")


def test_limits_are_those_of_the_settings() -> None:
    limits = DecodeLimits.from_settings(
        Settings(workers=3, decode_seconds=7, decode_mb=800, frames=9, decode_recycle=11)
    )
    assert (limits.workers, limits.seconds, limits.memory_bytes) == (3, 7, 800 * 2**20)
    assert (limits.slices, limits.tasks_per_worker) == (9, 11)
