"""`make bench`: how fast and how good, on the real slices in GLIASCOPE_DATA.

Names of parts (`python -m benchmarks audit planted`) choose some, `all` takes all; without any, a short run.
Each gives rows of one Markdown table, which also goes to benchmarks/results/. Jobs are processes of their
own, timed from outside.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    audit,
    engines,
    faults,
    fuzz,
    jobs,
    kills,
    load,
    localisation,
    recipes,
    scale,
    scope,
    speed,
    studies,
)
from benchmarks.measure import Row

RESULTS = Path(__file__).parent / "results"

Part = Callable[[Path, Path], list[Row]]
SHORT: dict[str, Part] = {
    "rates": jobs.rates,
    "masoud7023": jobs.masoud7023,
    "starts": jobs.starts,
    "audit": audit.known_sets,
    "planted": audit.planted,
}
LONG: dict[str, Part] = {
    "grouped": jobs.grouped,
    "folds": jobs.folds,
    "crossval": jobs.crossval,
    "two-sources": jobs.two_sources,
    "sizes": audit.sizes,
    "shortcuts": jobs.shortcuts,
    "cropped": jobs.cropped,
    "scope": scope.scope,
    "scope-of-folds": scope.scope_of_folds,
    "studies": studies.studies,
    "phantoms": localisation.phantoms,
    "tcia": localisation.tcia,
    "recipes": recipes.recipes,
    "load": load.load,
    "faults": faults.faults,
    "fuzz": fuzz.fuzz,
    "kills": kills.kills,
    "scale": scale.scale,
}
SPEED: dict[str, Part] = {
    part.__name__: part
    for part in (
        speed.frozen,
        speed.stage2,
        speed.fine_tuning,
        speed.reading,
        speed.predicting,
        engines.engines,
        engines.int8,
    )
}

# Parts that use what another one makes.
NEEDS = {
    "scope-of-folds": "crossval",
    "planted": "audit",
    "sizes": "audit",
    **dict.fromkeys(("starts", "grouped", "scope", "tcia", "int8"), "masoud7023"),
}


def write(rows: list[Row]) -> None:
    """Write the table so far: a later part that fails loses nothing."""
    lines = [
        f"Machine: {os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {what} | {measured} | {target} |" for what, measured, target in rows),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "main-job.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    folder = os.environ.get("GLIASCOPE_DATA")
    if not folder:
        sys.exit("set GLIASCOPE_DATA to the folder that holds masoud7023/ and sartaj3264/")
    parts = SHORT | SPEED | LONG
    chosen = sys.argv[1:] or list(SHORT | SPEED)
    if "all" in chosen:
        chosen = list(parts)
    unknown = [name for name in chosen if name not in parts]
    if unknown:
        sys.exit(f"unknown part {unknown[0]}; choose from {', '.join(parts)}, all")
    chosen = list(dict.fromkeys(part for name in chosen for part in (NEEDS.get(name, name), name)))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as temporary:
        for name in chosen:
            new = parts[name](Path(folder).resolve(), Path(temporary))
            for what, measured, _ in new:
                print(f"{what}: {measured}", flush=True)
            rows += new
            write(rows)
    print((RESULTS / "main-job.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
