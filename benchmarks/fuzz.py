"""`python -m benchmarks.fuzz [CASES [SEED]]`: mutated files through `read`, and a share through the server.

Every case runs in a process with the limits of a decoding worker. Anything but an answer or a ReadError is a
failure: its file is kept in benchmarks/results/fuzz/, and the command ends with 1.
"""

import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzzing import LIMITS, Tally
from fuzzing import fuzz as outcomes
from mutations import case, corpus
from quadrants import quadrant_bundle
from served import serving

from benchmarks.measure import Row
from gliascope.server.models import ModelSource

CASES = 20_000
SEED = 0
SERVED = 10
"""One case in so many also goes through the server."""

FILES = 4
"""Files in one request."""

SECONDS = 30.0
KEPT = Path(__file__).parent / "results" / "fuzz"
ANSWERS = (200, 413, 422)
NOT_TYPED = ("decoding failed", "decoding took too long")


def fuzz(_data: Path, temporary: Path, cases: int = CASES, seed: int = SEED) -> list[Row]:
    shutil.rmtree(KEPT, ignore_errors=True)
    parts = through_read(temporary, cases, seed), through_server(temporary, cases // SERVED, seed)
    if any(failures for _, failures in parts):
        table = "\n".join(" | ".join(row) for row, _ in parts)
        sys.exit(f"{table}\nfailures: their files are in {KEPT}")
    return [row for row, _ in parts]


def through_read(temporary: Path, cases: int, seed: int) -> tuple[Row, int]:
    tally, began = Tally(), time.perf_counter()
    for outcome in outcomes(temporary, seed, range(cases)):
        tally.add(outcome)
        if not outcome.fine:
            keep(f"read-{seed}-{outcome.number}-{outcome.kind}", outcome.path.read_bytes(), outcome.name)
    seconds, slowest = time.perf_counter() - began, tally.slowest
    assert slowest is not None
    counts = ", ".join(f"{count:,} {name}" for name, count in tally.counts.most_common())
    measured = (
        f"{counts}; {len(tally.failures)} failures; slowest {slowest.seconds:.1f} s ({slowest.kind}, "
        f"case {slowest.number}); peak {tally.peak_mib:.0f} MiB; {seconds:.0f} s"
    )
    limit = f"only read or ReadError, each within {LIMITS.seconds:g} s and {LIMITS.memory_bytes >> 20} MiB"
    what = f"{tally.counts.total():,} mutated files through `read`"
    return (what, measured, limit), len(tally.failures)


def through_server(temporary: Path, cases: int, seed: int) -> tuple[Row, int]:
    """The app in this process, its decoding workers beside it."""
    quadrant_bundle().write(temporary / "bundle")
    statuses: Counter[int] = Counter()
    rejects: Counter[str] = Counter()
    failures, slowest = 0, 0.0
    folder = temporary / "uploads"
    folder.mkdir()
    source = ModelSource("quadrants", temporary / "bundle")
    with serving([source], temporary=folder, workers=2, decode_seconds=10, decode_mb=1024) as client:
        for start, files in requests(cases, seed):
            began = time.perf_counter()
            answer = client.post("/v1/predict", files=[("files", file) for file in files])
            slowest = max(slowest, time.perf_counter() - began)
            statuses[answer.status_code] += 1
            body = answer.json()
            rejects.update(reject["reason"] for reject in body.get("rejects", []))
            if wrong := fault(answer.status_code, body, str(temporary), time.perf_counter() - began):
                failures += 1
                for name, content in files:
                    keep(f"server-{seed}-{start}-{name}", content, wrong)
        left = list(folder.iterdir())
        failures += len(left)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
    measured = (
        f"{counts}; {sum(rejects.values()):,} rejects beside answers; {failures} failures; "
        f"{len(left)} folders left; slowest {slowest:.1f} s; the server's peak {peak:.0f} MiB"
    )
    what = f"{statuses.total():,} requests of {FILES} mutated files"
    return (what, measured, f"only {', '.join(map(str, ANSWERS))}, each within {SECONDS:g} s"), failures


def requests(cases: int, seed: int) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    whole = corpus()
    for start in range(0, cases, FILES):
        yield start, [case(whole, seed + 1, start + number) for number in range(FILES)]


def fault(status: int, body: dict[str, Any], folder: str, seconds: float) -> str:
    """What is wrong with an answer; "" if nothing."""
    if status not in ANSWERS:
        return f"status {status}"
    if seconds > SECONDS:
        return f"{seconds:.1f} s"
    text = str(body)
    if folder in text:
        return "tells the server's folders"
    return next((reason for reason in NOT_TYPED if reason in text), "")


def keep(name: str, content: bytes, why: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / name.replace(" ", "-")).write_bytes(content)
    print(f"failure: {name}: {why}", file=sys.stderr, flush=True)


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as temporary:
        for row in fuzz(Path(), Path(temporary), *numbers):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
