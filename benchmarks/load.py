"""A server under load: how many slices, how soon, in how much memory, and what it says when it is too much.

`python -m benchmarks.load BUNDLE FOLDER [MINUTES]` for a bundle and slices of your own.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from loading import Answer, Body, Server, busy, children, cpu_seconds, serving

from benchmarks.jobs import OUT
from benchmarks.measure import Row, anonymous_gib, gliascope

CLIENTS = 64
MINUTES = 20.0
OVER_SECONDS = 20.0
QUEUE = 32
"""Slices that the server over capacity takes."""
_FILES, _SERIES, _EVERY = 200, 24, 50
_SAMPLE = 1.0
_WARM = 0.2
"""Share of the time in which memory may still grow: every thread and pool is used for the first time."""


def load(data: Path, work: Path) -> list[Row]:
    return rows(bundle_in(work), data / "masoud7023" / "Testing", work, MINUTES)


def bundle_in(work: Path) -> Path:
    """Of the main job where that was run before, else of a demo: no slice takes longer with other weights."""
    main = work / OUT / "bundle"
    if not main.exists():
        main = work / "demo" / "bundle"
        if not main.exists():
            gliascope("demo", "--out", work / "demo", cache=work / "cache-demo")
    return main


def bodies_of(folder: Path) -> list[Body]:
    """Single slices, and one series to every 49 of them."""
    read = _slices_in(folder, _FILES)
    singles = [Body.of([one]) for one in read]
    series = [Body.of(read[first : first + _SERIES]) for first in range(len(singles) // _EVERY)]
    return singles + series


def body_of(folder: Path, slices: int) -> Body:
    """So many at once."""
    return Body.of(_slices_in(folder, slices))


def _slices_in(folder: Path, count: int) -> list[tuple[str, bytes]]:
    """Evenly from all over the folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    chosen = [files[number * len(files) // count] for number in range(count)]
    return [(path.name, path.read_bytes()) for path in chosen]


@dataclass
class Usage:
    """What a server and its processes take, sampled once a second, and the time that this process took."""

    server: int
    at: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    everything: list[float] = field(default_factory=list)
    cpu: dict[int, float] = field(default_factory=dict)
    clients_cpu: float = 0.0

    def sample(self, now: float) -> None:
        """Anonymous memory in MiB, CPU time in seconds."""
        helpers = children(self.server)
        others = helpers + [worker for helper in helpers for worker in children(helper)]
        own, *rest = (1024 * anonymous_gib(one) for one in (self.server, *others))
        self.at.append(now)
        self.own.append(own)
        self.everything.append(own + sum(rest))
        # The last that is seen of each: decoders are replaced.
        self.cpu |= {one: cpu_seconds(one) for one in (self.server, *others)}

    def memory(self) -> str:
        """The server's own: first and last tenth of the time once warm, and a line's slope."""
        at, own = np.array(self.at), np.array(self.own)
        warm = at >= _WARM * at[-1]
        tenth = max(1, int(warm.sum()) // 10)
        slope = np.polyfit(at[warm] / 60, own[warm], 1)[0]
        first, last = np.median(own[warm][:tenth]), np.median(own[warm][-tenth:])
        most = max(self.everything)
        return f"{first:.0f} → {last:.0f} MiB ({slope:+.2f} MiB/minute); with its decoders at most {most:.0f}"

    def cpu_per_slice(self, slices: int) -> str:
        """Busy neighbours hardly change this, while they change the rate."""
        own = self.cpu[self.server]
        parts = (own, sum(self.cpu.values()) - own, self.clients_cpu)
        server, decoders, clients = (1000 * seconds / slices for seconds in parts)
        return f"{server:.0f} ms, its decoders {decoders:.1f} ms, the clients {clients:.1f} ms"


def rows(bundle: Path, slices: Path, work: Path, minutes: float) -> list[Row]:
    bodies = bodies_of(slices)
    with serving(bundle, work / "load") as server:
        usage = Usage(server.process.pid)
        answers, seconds = asyncio.run(_run(server, bodies, 60 * minutes, usage))
        left = len(server.leftovers())
        code = server.end()
    with serving(bundle, work / "over", queue_slices=QUEUE) as server:
        over, over_seconds = asyncio.run(_run(server, bodies, OVER_SECONDS, Usage(server.process.pid)))
    name, beyond = f"{CLIENTS} clients, {minutes:g} minutes", f"{CLIENTS} clients, room for {QUEUE} slices"
    return [
        (f"{name}: rate", f"{_rate(answers, seconds):.1f} slices/s", "≥ 30 slices/s"),
        (f"{name}: single slices", _times([one for one in answers if one.slices == 1]), "p99 < 3 s"),
        (f"{name}: series of {_SERIES}", _times([one for one in answers if one.slices > 1]), ""),
        (f"{name}: answers", _statuses(answers), "200 only"),
        (f"{name}: memory of the server", usage.memory(), "flat"),
        (f"{name}: CPU time of a slice", usage.cpu_per_slice(_answered(answers)), ""),
        (f"{name}: left in the temporary folder; exit code", f"{left}; {code}", "0; 0"),
        (f"{beyond}: answers", _statuses(over), "200, 503 + Retry-After"),
        (f"{beyond}: rate", f"{_rate(over, over_seconds):.1f} slices/s", ""),
    ]


async def _run(
    server: Server, bodies: Sequence[Body], seconds: float, usage: Usage
) -> tuple[list[Answer], float]:
    start, before = time.monotonic(), time.process_time()
    async with busy(server.address, bodies, CLIENTS) as answers:
        while (now := time.monotonic() - start) < seconds:
            usage.sample(now)
            await asyncio.sleep(_SAMPLE)
    usage.sample(time.monotonic() - start)
    usage.clients_cpu = time.process_time() - before
    return answers, time.monotonic() - start


def _answered(answers: Sequence[Answer]) -> int:
    return sum(one.slices for one in answers if one.status == 200)


def _rate(answers: Sequence[Answer], seconds: float) -> float:
    return _answered(answers) / seconds


def _times(answers: Sequence[Answer]) -> str:
    seconds = [one.seconds for one in answers if one.status == 200]
    half, most = np.percentile(seconds, [50, 99])
    return f"p50 {half:.2f} s, p99 {most:.2f} s, of {len(seconds):,}"


def _statuses(answers: Sequence[Answer]) -> str:
    """How many of each; without an answer, the exception's name."""
    names: Counter[str] = Counter()
    for one in answers:
        retry = " + Retry-After" if one.retry else ""
        part = "" if one.status != 200 or one.complete else " in part"
        names[f"{one.status or one.error}{retry}{part}"] += 1
    return ", ".join(f"{count:,} × {name}" for name, count in names.most_common())


def main() -> None:
    bundle, slices = map(Path, sys.argv[1:3])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else MINUTES
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as work:
        for what, measured, target in rows(bundle, slices, Path(work), minutes):
            print(f"| {what} | {measured} | {target} |")
    print(f"{os.cpu_count()} cores; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
