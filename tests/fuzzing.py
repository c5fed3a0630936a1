"""Mutated files through `read`, each in a process with the limits of a decoding worker."""

import itertools
import resource
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from mutations import ZIP, case, corpus
from pebble import ProcessExpired, ProcessPool

import gliascope
from gliascope.errors import ReadError
from gliascope.inference.predict import prepare
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server.decode_limits import DecodeLimits, limit_process

LIMITS = DecodeLimits(
    workers=2, seconds=10, memory_bytes=2**30, file_bytes=2**30, slices=4096, tasks_per_worker=2000
)
FINE = ("read", "NotAnImageError", "DamagedFileError", "TooLargeError")
_OURS = Path(gliascope.__file__).parent
_WINDOW = 32


@dataclass(frozen=True)
class Outcome:
    """What became of one case. name: one of FINE, or what is wrong. peak_mib: of the process so far."""

    number: int
    kind: str
    path: Path
    name: str
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def fine(self) -> bool:
        return self.name in FINE


@dataclass
class Tally:
    """Outcomes, counted."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)
    slowest: Outcome | None = None
    peak_mib: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.name] += 1
        self.peak_mib = max(self.peak_mib, outcome.peak_mib)
        if self.slowest is None or outcome.seconds > self.slowest.seconds:
            self.slowest = outcome
        if not outcome.fine:
            self.failures.append(outcome)


def try_to_read(path: Path) -> tuple[str, float, float]:
    """Name of the outcome, seconds, and peak memory in MiB of this process or a helper of it."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        try:
            prepare(path, Preprocessing(size=32))
            name = "read"
        except ReadError as error:
            name = type(error).__name__
        except BaseException as error:
            name = f"raises {type(error).__name__}: {error}"
    ours = [str(one.message) for one in caught if Path(one.filename).is_relative_to(_OURS)]
    if ours:
        name = f"warns {ours[0]}"
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who) / 1024
    return name, time.perf_counter() - began, peak


def cases(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[tuple[int, str, Path]]:
    """Write the cases of these numbers that are no archives."""
    files = corpus()
    for number in numbers:
        kind, content = case(files, seed, number)
        if kind != ZIP:
            path = folder / f"case-{number}"
            path.write_bytes(content)
            yield number, kind, path


def fuzz(folder: Path, seed: int, numbers: Iterable[int], limits: DecodeLimits = LIMITS) -> Iterator[Outcome]:
    """Try the cases; the files of those that are fine are removed."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["gliascope.server.decoding", "gliascope.io.dicom"])
    with ProcessPool(
        limits.workers,
        max_tasks=limits.tasks_per_worker,
        initializer=limit_process,
        initargs=(limits,),
        context=context,
    ) as pool:
        waiting = cases(folder, seed, numbers)
        while window := list(itertools.islice(waiting, _WINDOW)):
            tasks = [pool.schedule(try_to_read, (path,), timeout=limits.seconds) for _, _, path in window]
            for (number, kind, path), task in zip(window, tasks, strict=True):
                try:
                    outcome = Outcome(number, kind, path, *task.result())
                except TimeoutError:
                    outcome = Outcome(number, kind, path, "hangs", limits.seconds)
                except (ProcessExpired, BrokenProcessPool) as error:
                    outcome = Outcome(number, kind, path, f"ends its process: {error}")
                if outcome.fine:
                    path.unlink()
                yield outcome
