"""A server to which things happen: nothing that it accepted may be lost, and it goes on.

`python -m benchmarks.faults BUNDLE FOLDER` for a bundle and slices of your own. Filling a disk needs root.
"""

import sys
import tempfile
from pathlib import Path

from faulting import FAULTS, Setting

from benchmarks.load import bodies_of, body_of, bundle_in
from benchmarks.measure import Row

CLIENTS, ROUNDS, PAUSE = 16, 10, 1.0
LONG = 100
"""Slices of a job."""


def faults(data: Path, work: Path) -> list[Row]:
    return rows(bundle_in(work), data / "masoud7023" / "Testing", work)


def rows(bundle: Path, slices: Path, work: Path) -> list[Row]:
    bodies = bodies_of(slices)
    long = body_of(slices, LONG)
    found = []
    for fault in FAULTS:
        folder = work / fault.__name__
        folder.mkdir()
        told = fault(Setting(bundle, folder, bodies, long, CLIENTS, ROUNDS, PAUSE))
        answers = ", ".join(f"{count:,} × {name}" for name, count in told.answers.most_common())
        name = fault.__name__.replace("_", " ")
        note = f"; {told.note}" if told.note else ""
        found.append((f"fault: {name}", f"{told.lost} lost; {answers}{note}", "0 lost"))
        print("| {} | {} | {} |".format(*found[-1]), flush=True)
    return found


def main() -> None:
    bundle, slices = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as work:
        rows(bundle, slices, Path(work))


if __name__ == "__main__":
    main()
