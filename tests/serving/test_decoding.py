"""Hostile files and workers that die, in real processes under real limits."""

import asyncio
import gzip
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from gliascope.data.preprocess import Preprocessing, preprocess
from gliascope.data.read import read
from gliascope.errors import ReadError
from gliascope.inference.predict import prepare
from gliascope.serving import decoding, worker
from gliascope.serving.decoding import Decoder
from gliascope.serving.refusal import Refusal
from gliascope.serving.settings import Settings
from gliascope.serving.worker import DecodeLimits

LIMITS = DecodeLimits(workers=1, seconds=20, memory_bytes=3 * 2**29, file_bytes=2**30, slices=100, tasks=100)
PREPROCESSING = Preprocessing(size=32)
T = TypeVar("T")


def with_decoder(use: Callable[[Decoder], Awaitable[T]], limits: DecodeLimits = LIMITS) -> T:
    async def main() -> T:
        decoder = Decoder(limits)
        try:
            return await use(decoder)
        finally:
            decoder.close()

    return asyncio.run(main())


def decode(path: Path, limits: DecodeLimits = LIMITS):
    return with_decoder(lambda decoder: decoder.decode(path, PREPROCESSING), limits)


def rejected(reason: str):
    return pytest.raises(ReadError, check=lambda error: error.reason == reason)


def processes(decoder: Decoder) -> list[int]:
    return [pid for one in decoder._workers for pid in one.pool._pool_manager.worker_manager.workers]


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
            assert np.array_equal(one.item.pixels, other.item.pixels)
            assert np.array_equal(one.ready, other.ready)
            for name in ("path", "index", "format", "modality", "spacing", "study", "series", "plane"):
                assert getattr(one.item, name) == getattr(other.item, name)


def test_slices_of_several_sizes_and_colours_keep_theirs(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full(shape, 9, np.uint8)) for shape in ((4, 6), (8, 3))]
    pages.append(Image.fromarray(np.arange(90, dtype=np.uint8).reshape(5, 6, 3)))
    pages[0].save(tmp_path / "pages", "TIFF", save_all=True, append_images=pages[1:])
    found = decode(tmp_path / "pages")
    assert [one.item.pixels.shape for one in found] == [(4, 6), (8, 3), (5, 6, 3)]
    assert np.array_equal(found[2].item.pixels, np.asarray(pages[2]))
    assert all(
        np.array_equal(one.ready, preprocess(item.pixels, PREPROCESSING))
        for one, item in zip(found, read(tmp_path / "pages"), strict=True)
    )


def test_arrays_cannot_be_written_and_outlive_the_next_reading(picture: Path) -> None:
    async def twice(decoder: Decoder) -> None:
        (first,) = await decoder.decode(picture, PREPROCESSING)
        (second,) = await decoder.decode(picture, Preprocessing(size=16))
        assert first.ready.shape == (32, 32)
        assert second.ready.shape == (16, 16)
        with pytest.raises(ValueError, match="read-only"):
            first.item.pixels[0, 0] = 1

    with_decoder(twice)


def test_a_patient_stays_in_the_worker(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    path = Path(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    target = tmp_path / "file"
    target.write_bytes(path.read_bytes())
    (one,) = decode(target)
    assert prepare(target, PREPROCESSING)[0].item.patient is not None
    assert one.item.patient is None
    assert one.item.modality == "MR"


def test_a_file_that_cannot_be_read_says_why_without_our_paths(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"some text")
    with rejected("format not recognised"):
        decode(tmp_path / "text")
    (tmp_path / "hdf").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    with pytest.raises(ReadError) as caught:
        decode(tmp_path / "hdf")
    assert str(tmp_path) not in caught.value.reason + caught.value.detail
    failure = worker._failure(tmp_path / "x", ReadError("x", "why", f"no file {tmp_path / 'x'}"))
    assert failure == worker.Failure("why")


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_bombs_end_within_time_and_memory(tmp_path: Path) -> None:
    """Each claims or unpacks to far more than it is; the worker lives on."""
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


def hang(path: Path, *_: object) -> worker.Answer:
    path.with_name("pid").write_text(str(os.getpid()))
    while True:
        sum(range(1000))


def hang_deaf(path: Path, *arguments: object) -> worker.Answer:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(path, *arguments)


def die(path: Path, *_: object) -> worker.Answer:
    with path.with_name("deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGSEGV)
    return []


def die_once(path: Path, preprocessing: Preprocessing, attempt: int, alarm: float) -> worker.Answer:
    if not path.with_name("deaths").exists():
        return die(path)
    from gliascope.serving.worker import work

    return work(path, preprocessing, attempt, alarm)


def devour(path: Path, *_: object) -> worker.Answer:
    from gliascope.serving.worker import _failure

    try:
        np.ones(2**32, np.uint8)
    except MemoryError as error:
        return _failure(path, error)
    return []


def fill(path: Path, *_: object) -> worker.Answer:
    from gliascope.serving.worker import _failure, _write

    try:
        _write(path.with_name("large"), (np.zeros(2**20, np.uint8) for _ in range(2_000)))
    except OSError as error:
        return _failure(path, error)
    return []


def limits_seen(path: Path, *_: object) -> worker.Answer:
    import resource

    kinds = ("CORE", "AS", "FSIZE", "CPU")
    seen = [resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in kinds]
    return worker.Failure(repr(seen), repr([str(Path(f"/proc/self/fd/{n}").readlink()) for n in (0, 1, 2)]))


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., worker.Answer]], None]:
    """Let workers do another thing than `work`: they import it from this file."""
    folder = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *sys.path]))
    monkeypatch.syspath_prepend(folder)
    import test_decoding as importable_self  # the module by a name that workers find

    def put(function: Callable[..., worker.Answer]) -> None:
        monkeypatch.setattr(decoding.worker, "work", getattr(importable_self, function.__name__))

    return put


def test_a_file_that_hangs_the_decoder_is_rejected_in_time(picture: Path, importable) -> None:
    importable(hang)
    limits = replace(LIMITS, seconds=1)
    began = time.monotonic()
    with rejected("decoding took too long"):
        decode(picture, limits)
    assert time.monotonic() - began < 6
    assert_ended(picture.with_name("pid"))


def test_a_decoder_deaf_to_sigterm_is_killed(picture: Path, importable) -> None:
    importable(hang_deaf)
    with rejected("decoding took too long"):
        decode(picture, replace(LIMITS, seconds=0.5))
    assert_ended(picture.with_name("pid"))


def assert_ended(file: Path) -> None:
    for _ in range(50):
        try:
            os.kill(int(file.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker still runs")


def test_a_file_that_kills_the_decoder_is_rejected_after_two_tries(picture: Path, importable) -> None:
    importable(die)
    with rejected("decoding failed"):
        decode(picture)
    assert picture.with_name("deaths").read_text() == "xx"


def test_a_worker_killed_from_outside_costs_one_retry(picture: Path, importable) -> None:
    importable(die_once)
    (one,) = decode(picture)
    assert one.item.pixels.shape == (6, 8)


def test_an_idle_worker_may_be_killed(picture: Path) -> None:
    async def use(decoder: Decoder) -> None:
        await decoder.decode(picture, PREPROCESSING)
        for wait in (0.0, 0.5):
            for pid in processes(decoder):
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(wait)
            assert len(await decoder.decode(picture, PREPROCESSING)) == 1

    with_decoder(use, replace(LIMITS, workers=2))


def test_a_cancelled_request_frees_its_worker(picture: Path, volume: Path, importable) -> None:
    real = worker.work
    importable(hang)

    async def use(decoder: Decoder) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decoder.decode(picture, PREPROCESSING), 1)
        decoding.worker.work = real
        began = time.monotonic()
        assert len(await decoder.decode(volume, PREPROCESSING)) == 5
        assert time.monotonic() - began < 5

    with_decoder(use)
    assert_ended(picture.with_name("pid"))


def test_memory_and_files_are_limited(picture: Path, importable) -> None:
    importable(devour)
    with rejected("not enough memory to decode it"):
        decode(picture)
    importable(fill)
    with rejected("too large when decoded"):
        decode(picture, replace(LIMITS, file_bytes=2**23))


def test_limits_cannot_be_lifted_and_output_goes_nowhere(picture: Path, importable) -> None:
    importable(limits_seen)
    with pytest.raises(ReadError) as caught:
        decode(picture)
    most = (0, LIMITS.memory_bytes, LIMITS.file_bytes, int(LIMITS.tasks * LIMITS.seconds) + 1)
    assert caught.value.reason == repr([(limit, limit) for limit in most])
    assert caught.value.detail == repr([os.devnull] * 3)


def test_workers_are_replaced_after_some_files(picture: Path) -> None:
    async def use(decoder: Decoder) -> set[int]:
        seen: set[int] = set()
        for _ in range(6):
            await decoder.decode(picture, PREPROCESSING)
            seen |= set(processes(decoder))
        return seen

    assert len(with_decoder(use, replace(LIMITS, tasks=2))) >= 3


def test_a_full_disk_is_507(small_disk: Path) -> None:
    Image.fromarray(np.zeros((1200, 1200), np.uint8)).save(small_disk / "zeros.png")
    with pytest.raises(Refusal, check=lambda error: (error.status, error.code) == (507, "disk_full")):
        decode(small_disk / "zeros.png")


def test_workers_end_with_the_server(picture: Path) -> None:
    """Killed without a chance to tidy up."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from gliascope.data.preprocess import Preprocessing\n"
        "from gliascope.serving.decoding import Decoder, DecodeLimits\n"
        "async def main():\n"
        "    decoder = Decoder(DecodeLimits(2, 9, 2**30, 2**30, 9, 9))\n"
        f"    await decoder.decode(Path({str(picture)!r}), Preprocessing())\n"
        "    pids = [p for w in decoder._workers for p in w.pool._pool_manager.worker_manager.workers]\n"
        "    print(*pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    script = picture.with_name("server.py")
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment)
    pids = [int(word) for word in server.stdout.readline().split()]
    assert len(pids) == 2
    server.kill()
    server.wait()
    for pid in pids:
        file = picture.with_name(f"{pid}")
        file.write_text(f"{pid}")
        assert_ended(file)


def test_limits_are_those_of_the_settings() -> None:
    limits = DecodeLimits.of(
        Settings(workers=3, decode_seconds=7, decode_mb=800, frames=9, decode_recycle=11)
    )
    assert (limits.workers, limits.seconds, limits.memory_bytes) == (3, 7, 800 * 2**20)
    assert (limits.slices, limits.tasks) == (9, 11)
