"""Run a command and measure it from outside."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
RESULTS = Path(__file__).parent / "results"
LEDGER = Path(__file__).parent / "ledger.jsonl"
"""Every look of a benchmark at a test subset of the real slices, since 2026-12."""

Row = tuple[str, str, str]  # what, measured, target


@dataclass(frozen=True)
class Outcome:
    seconds: float
    peak_gib: float  # resident set, mapped files included
    anonymous_gib: float  # without mapped files; sampled
    processor: float  # seconds of a core


def gliascope(*arguments: object, cache: Path) -> Outcome:
    """Run a gliascope command to its end; stop the benchmark where it fails."""
    return python("-m", "gliascope", *arguments, cache=cache)


def python(*arguments: object, cache: Path) -> Outcome:
    command = [sys.executable, *map(str, arguments)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | {"GLIASCOPE_CACHE": str(cache)}, stdout=subprocess.DEVNULL
    )
    samples = [0.0]
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        samples.append(anonymous_gib(process.pid))
        time.sleep(0.02)
    if ended[1] != 0:
        sys.exit(f"{' '.join(command)} failed")
    used = ended[2]
    return Outcome(
        time.perf_counter() - began, used.ru_maxrss / 2**20, max(samples), used.ru_utime + used.ru_stime
    )


def anonymous_gib(pid: int) -> float:
    """Anonymous memory of a process now; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


@dataclass(frozen=True)
class Seconds:
    """Of some runs of one thing."""

    each: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.each)

    def told(self, scale: float, digits: int) -> str:
        """Median, lowest and highest."""
        low, middle, high = (scale * value for value in (min(self.each), self.median, max(self.each)))
        return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def timed(function: Callable[[], object], times: int, before: int = 0) -> Seconds:
    """Of `times` calls, after some that do not count."""
    for _ in range(before):
        function()
    each = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        each.append(time.perf_counter() - began)
    return Seconds(each)


def peer(script: str, *arguments: object, python: str = sys.executable) -> dict[str, Any]:
    """What a peer prints."""
    command = [python, str(PEERS / f"{script}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
