"""Workers that hang, die, are killed, or exceed a limit."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import decoders
import numpy as np
import pytest
from decoders import LIMITS, PREPROCESSING, assert_ended, decode, processes, rejected, with_decoder
from PIL import Image

from gliascope.errors import ReadError
from gliascope.server import worker
from gliascope.server.decoding import Decoder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_a_file_that_hangs_the_decoder_is_rejected_in_time(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.hang)
    limits = replace(LIMITS, seconds=1)
    began = time.monotonic()
    with rejected("decoding took too long"):
        decode(picture, limits)
    assert time.monotonic() - began < 6
    assert_ended(picture.with_name("pid"))


def test_a_decoder_deaf_to_sigterm_is_killed(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.hang_deaf)
    with rejected("decoding took too long"):
        decode(picture, replace(LIMITS, seconds=0.5))
    assert_ended(picture.with_name("pid"))


def test_a_file_that_kills_the_decoder_is_rejected_after_two_tries(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.die)
    with rejected("decoding failed"):
        decode(picture)
    assert picture.with_name("deaths").read_text() == "xx"


def test_a_worker_killed_from_outside_costs_one_retry(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.die_once)
    (one,) = decode(picture)
    assert one.slice.pixels.shape == (6, 8)


def test_an_idle_worker_may_be_killed(picture: Path) -> None:
    async def use(decoder: Decoder) -> None:
        await decoder.decode(picture, PREPROCESSING)
        for wait in (0.0, 0.5):
            for pid in processes(decoder):
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(wait)
            assert len(await decoder.decode(picture, PREPROCESSING)) == 1

    with_decoder(use, replace(LIMITS, workers=2))


def test_a_cancelled_request_frees_its_worker(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = worker.run_task
    monkeypatch.setattr(worker, "run_task", decoders.hang)

    async def use(decoder: Decoder) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decoder.decode(picture, PREPROCESSING), 1)
        monkeypatch.setattr(worker, "run_task", real)
        began = time.monotonic()
        assert len(await decoder.decode(picture, PREPROCESSING)) == 1
        assert time.monotonic() - began < 5

    with_decoder(use)
    assert_ended(picture.with_name("pid"))


def test_memory_and_files_are_limited(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.devour)
    with rejected("not enough memory to decode it"):
        decode(picture)
    monkeypatch.setattr(worker, "run_task", decoders.fill)
    with rejected("too large when decoded"):
        decode(picture, replace(LIMITS, file_bytes=2**23))


def test_limits_cannot_be_lifted_and_output_goes_nowhere(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "run_task", decoders.limits_seen)
    with pytest.raises(ReadError) as caught:
        decode(picture)
    most = (0, LIMITS.memory_bytes, LIMITS.file_bytes, int(LIMITS.tasks_per_worker * LIMITS.seconds) + 1)
    assert caught.value.reason == repr([(limit, limit) for limit in most])
    assert caught.value.detail == repr([os.devnull] * 3)


def test_workers_are_replaced_after_some_files(picture: Path) -> None:
    async def use(decoder: Decoder) -> set[int]:
        seen: set[int] = set()
        for _ in range(6):
            await decoder.decode(picture, PREPROCESSING)
            seen |= set(processes(decoder))
        return seen

    assert len(with_decoder(use, replace(LIMITS, tasks_per_worker=2))) >= 3


def test_workers_end_with_the_server(picture: Path) -> None:
    """Killed without a chance to tidy up."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from gliascope.preprocessing.preprocess import Preprocessing\n"
        "from gliascope.server.decoding import Decoder, DecodeLimits\n"
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
