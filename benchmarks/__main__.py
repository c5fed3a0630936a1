"""`make bench`: how fast, beside the peers and the limits, on the real slices in GLIASCOPE_DATA.

Names of parts (`python -m benchmarks audit planted`) choose some, `all` takes all; without any, those of
speed, in under half an hour on two cores. Each gives rows of one Markdown table, which also goes to
benchmarks/results/. Jobs are processes of their own, timed from outside.
"""

import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    audit,
    cases,
    engines,
    faults,
    fuzz,
    growth,
    jobs,
    kills,
    limits,
    load,
    localisation,
    processes,
    recipes,
    scale,
    scope,
    speed,
    studies,
)
from benchmarks.measure import LEDGER, RESULTS, Row

Part = Callable[[Path, Path], Iterable[Row]]
SPEED: dict[str, Part] = {
    part.__name__: part
    for part in (
        limits.limits,
        growth.verbs,
        speed.starts,
        speed.reading,
        speed.predicting,
        engines.engines,
        engines.int8,
        speed.fine_tuning,
        speed.stage2,
        speed.frozen,
    )
}
OTHERS: dict[str, Part] = {
    "frozen-whole": speed.frozen_whole,
    "cases": cases.cases,
    "growth": growth.growth,
    "masoud7023": jobs.masoud7023,
    "audit": audit.known_sets,
    "planted": audit.planted,
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
    "processes": processes.processes,
}

# Parts that use what another one makes.
NEEDS = {
    "scope-of-folds": "crossval",
    **dict.fromkeys(("planted", "sizes"), "audit"),
    **dict.fromkeys(("starts", "int8", "growth"), "verbs"),
    **dict.fromkeys(("grouped", "scope", "tcia"), "masoud7023"),
}
LIBRARIES = ("torch", "torchvision", "timm", "onnxruntime", "lightning", "pillow", "numpy", "polars")


def write(rows: list[Row]) -> None:
    """Write the table so far: a later part that fails loses nothing."""
    lines = [
        f"Machine: {os.cpu_count()} cores, {_processor()}; Python {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in LIBRARIES)}.",
        "",
        "Where something was repeated: median (lowest-highest).",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {what} | {measured} | {target} |" for what, measured, target in rows),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "main-job.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _processor() -> str:
    """Its name, where Linux tells."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", told.read_text()) if told.exists() else []
    return names[0] if names else platform.machine()


def main() -> None:
    folder = os.environ.get("GLIASCOPE_DATA")
    if not folder:
        sys.exit("set GLIASCOPE_DATA to the folder that holds masoud7023/ and sartaj3264/")
    parts = SPEED | OTHERS
    chosen = sys.argv[1:] or list(SPEED)
    if "all" in chosen:
        chosen = list(parts)
    unknown = [name for name in chosen if name not in parts]
    if unknown:
        sys.exit(f"unknown part {unknown[0]}; choose from {', '.join(parts)}, all")
    chosen = list(dict.fromkeys(part for name in chosen for part in (NEEDS.get(name, name), name)))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gliascope-bench-") as temporary:
        os.environ["GLIASCOPE_CACHE"] = f"{temporary}/cache"
        os.environ["GLIASCOPE_LEDGER"] = str(LEDGER)
        for name in chosen:
            began = time.perf_counter()
            for row in parts[name](Path(folder).resolve(), Path(temporary)):
                print(f"{row[0]}: {row[1]}", flush=True)
                rows.append(row)
                write(rows)
            print(f"[{name}: {time.perf_counter() - began:.0f} s]", flush=True)
    print((RESULTS / "main-job.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
