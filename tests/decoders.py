"""Replacements for `worker.run_task` that misbehave as a test needs it."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from gliascope.errors import ReadError
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server import worker
from gliascope.server.decode_limits import DecodeLimits
from gliascope.server.decoding import Decoder

LIMITS = DecodeLimits(
    workers=1, seconds=20, memory_bytes=3 * 2**29, file_bytes=2**30, slices=100, tasks_per_worker=100
)
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


def assert_ended(file: Path) -> None:
    for _ in range(50):
        try:
            os.kill(int(file.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker still runs")


def hang(path: Path, *_: object) -> worker.TaskResult:
    path.with_name("pid").write_text(str(os.getpid()))
    while True:
        sum(range(1000))


def hang_deaf(path: Path, *arguments: object) -> worker.TaskResult:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(path, *arguments)


def die(path: Path, *_: object) -> worker.TaskResult:
    with path.with_name("deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGSEGV)
    return []


def die_once(path: Path, preprocessing: Preprocessing, attempt: int, alarm: float) -> worker.TaskResult:
    if not path.with_name("deaths").exists():
        return die(path)
    return worker.run_task(path, preprocessing, attempt, alarm)


def devour(path: Path, *_: object) -> worker.TaskResult:
    try:
        np.ones(2**32, np.uint8)
    except MemoryError as error:
        return worker._failure(path, error)
    return []


def fill(path: Path, *_: object) -> worker.TaskResult:
    try:
        worker._write(path.with_name("large"), (np.zeros(2**20, np.uint8) for _ in range(2_000)))
    except OSError as error:
        return worker._failure(path, error)
    return []


def limits_seen(path: Path, *_: object) -> worker.TaskResult:
    kinds = ("CORE", "AS", "FSIZE", "CPU")
    seen = [resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in kinds]
    return worker.DecodeFailure(
        repr(seen), repr([str(Path(f"/proc/self/fd/{n}").readlink()) for n in (0, 1, 2)])
    )
