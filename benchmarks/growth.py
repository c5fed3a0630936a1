"""What each verb costs a slice, and its memory: on masoud7023, and on the same set again and again, warped.

`audit` is left out: it compares all pairs, and `python -m benchmarks sizes` shows what that costs.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import matplotlib.pyplot as plt
import polars as pl
from PIL import Image

from benchmarks.measure import RESULTS, Row, gliascope
from gliascope.runtime.files import atomic_file

TIMES = (3, 7)  # the set so often: 21,069 and 49,161 slices
VERBS = "verbs"  # folder of the run on the set as it is
# One epoch has all that `quick` keeps in memory, and one view costs a slice as much as the next.
SETS = ("--set", "stages.0.epochs=1", "--set", "views=1")


class Cost(TypedDict):
    """Of a verb."""

    slices: int
    seconds: float
    gib: float  # without mapped files


def verbs(data: Path, work: Path) -> list[Row]:
    """The set as it is."""
    costs = _all(data / "masoud7023", work / VERBS, work)
    (work / VERBS / "costs.json").write_text(json.dumps([costs]))
    targets = {"scan": "≥ 400 a second", "store": "≥ 400 a second", "train": "≤ 3 GiB"}
    return [
        (
            f"`{verb}` of {cost['slices']:,} slices, start-up included",
            f"{cost['seconds']:.1f} s, {cost['slices'] / cost['seconds']:,.0f} a second; "
            f"{cost['gib']:.2f} GiB without mapped files",
            targets.get(verb, ""),
        )
        for verb, cost in costs.items()
    ]


def growth(data: Path, work: Path) -> list[Row]:
    """Three and seven times as many slices as masoud7023 has."""
    costs: list[dict[str, Cost]] = json.loads((work / VERBS / "costs.json").read_text())
    for times in TIMES:
        out = work / f"verbs-{times}"
        _warp(data / "masoud7023", out / "masoud7023", times)
        costs.append(_all(out / "masoud7023", out / "out", work))
    _draw(costs)
    rows = []
    for verb in costs[0]:
        each = [1e3 * one[verb]["seconds"] / one[verb]["slices"] for one in costs]
        name = f"`{verb}`, ms a slice of {', '.join(format(one[verb]['slices'], ',') for one in costs)}"
        told = f"{', '.join(format(value, '.2f') for value in each)}: {each[-1] / each[0]:.2f} ×"
        rows.append((name, told, "at most linear: ≤ 1 ×"))
    memory = [one["train"]["gib"] for one in costs]
    told = f"{', '.join(format(value, '.2f') for value in memory)}: {memory[-1] / memory[0]:.2f} ×"
    return [*rows, ("`train`, GiB without mapped files", told, "≤ 1.3 ×")]


def _all(source: Path, out: Path, work: Path) -> dict[str, Cost]:
    """`evaluate` and `predict` are of the test slices, the rest is of all."""
    out.mkdir(parents=True, exist_ok=True)
    catalog, split, run, tested = (out / name for name in ("catalog.parquet", "split.parquet", "run", "test"))
    commands: dict[str, tuple[object, ...]] = {
        "scan": (source, "--out", catalog),
        "store": (catalog,),
        "split": (catalog, "--out", split),
        "train": (catalog, split, "--out", run, *SETS),
        "evaluate": (run, catalog, split, "--out", tested),
        "bundle": (run, tested / "report.json", "--out", out / "bundle"),
        "predict": (out / "bundle", source / "Testing", "--out", out / "findings.jsonl"),
    }
    made = {verb: gliascope(verb, *given, cache=work / "cache") for verb, given in commands.items()}
    slices = len(pl.read_parquet(catalog, columns=["path"]))
    test = sum(path.is_file() for path in (source / "Testing").rglob("*"))
    return {
        verb: {
            "slices": test if verb in ("evaluate", "predict") else slices,
            "seconds": one.seconds,
            "gib": one.anonymous_gib,
        }
        for verb, one in made.items()
    }


def _warp(source: Path, target: Path, times: int) -> None:
    """Each slice so often, turned by a degree more each time."""

    def write(path: Path) -> None:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            picture = image.convert("L")
        for number in range(times):
            turned = picture.rotate(number, Image.Resampling.BILINEAR)
            turned.save(place.with_stem(f"{place.stem}-{number}"), quality=90)

    files = [path for path in source.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, files))


def _draw(costs: list[dict[str, Cost]]) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for verb in costs[0]:
        slices = [one["scan"]["slices"] for one in costs]
        each = [1e3 * one[verb]["seconds"] / one[verb]["slices"] for one in costs]
        axes[0].plot(slices, each, marker="o", label=verb)
        axes[1].plot(slices, [one[verb]["gib"] for one in costs], marker="o")
    axes[0].set(xlabel="slices in the set", ylabel="milliseconds a slice", yscale="log")
    axes[1].set(xlabel="slices in the set", ylabel="GiB without mapped files", ylim=0)
    figure.legend(loc="outside right", frameon=False)
    with atomic_file(RESULTS / "growth.png") as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
