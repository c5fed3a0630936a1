"""What each verb costs a slice, and its memory: on masoud7023, and on the same set again and again, warped.

`audit` is left out: it compares all pairs, and `python -m benchmarks sizes` shows what that costs.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from benchmarks.measure import RESULTS, Outcome, Row, gliascope
from gliascope.files import atomic_file

TIMES = (3, 7)  # the set so often: 21,069 and 49,161 slices
VERBS = "verbs"  # folder of the run on the set as it is
# One epoch has all that `quick` keeps in memory; its first one also computes what the frozen part makes.
SETS = ("--set", "stages.0.epochs=1")


def verbs(data: Path, work: Path) -> list[Row]:
    """The set as it is."""
    outcomes = _all(data / "masoud7023", work / VERBS, work)
    count = _slices(work / VERBS)
    rows = [
        (f"`{verb}` of {count:,} slices, start-up included", _told(outcome, count), _target(verb))
        for verb, outcome in outcomes.items()
    ]
    (work / VERBS / "outcomes.json").write_text(json.dumps({str(count): _figures(outcomes, count)}))
    return rows


def growth(data: Path, work: Path) -> list[Row]:
    """Three and seven times as many slices as masoud7023 has."""
    figures = json.loads((work / VERBS / "outcomes.json").read_text())
    for times in TIMES:
        out = work / f"verbs-{times}"
        _warp(data / "masoud7023", out / "masoud7023", times)
        outcomes = _all(out / "masoud7023", out / "out", work)
        count = _slices(out / "out")
        figures[str(count)] = _figures(outcomes, count)
    _draw(figures)
    first, *_, last = figures
    rows = []
    for verb in figures[first]:
        each = ", ".join(f"{figures[count][verb][0]:.2f}" for count in figures)
        ratio = figures[last][verb][0] / figures[first][verb][0]
        name = f"`{verb}`, ms a slice of {', '.join(f'{int(count):,}' for count in figures)}"
        rows.append((name, f"{each}: {ratio:.2f} ×", "at most linear: ≤ 1 ×"))
    memory = ", ".join(f"{figures[count]['train'][1]:.2f}" for count in figures)
    ratio = figures[last]["train"][1] / figures[first]["train"][1]
    return [*rows, ("`train`, GiB without mapped files", f"{memory}: {ratio:.2f} ×", "≤ 1.3 ×")]


def _all(source: Path, out: Path, work: Path) -> dict[str, Outcome]:
    out.mkdir(parents=True, exist_ok=True)
    catalog, split, run = out / "catalog.parquet", out / "split.parquet", out / "run"
    commands: dict[str, tuple[object, ...]] = {
        "scan": (source, "--out", catalog),
        "store": (catalog,),
        "split": (catalog, "--out", split),
        "train": (catalog, split, "--out", run, *SETS),
        "evaluate": (run, catalog, split, "--out", out),
        "bundle": (run, out / "report.json", "--out", out / "bundle"),
        "predict": (out / "bundle", source, "--out", out / "findings.jsonl"),
    }
    return {verb: gliascope(verb, *given, cache=work / "cache") for verb, given in commands.items()}


def _slices(out: Path) -> int:
    with (out / "findings.jsonl").open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def _told(outcome: Outcome, count: int) -> str:
    rate = f"{count / outcome.seconds:,.0f} a second"
    return f"{outcome.seconds:.1f} s, {rate}; {outcome.anonymous_gib:.2f} GiB without mapped files"


def _target(verb: str) -> str:
    return {"scan": "≥ 400 a second", "store": "≥ 400 a second", "train": "≤ 3 GiB"}.get(verb, "")


def _figures(outcomes: dict[str, Outcome], count: int) -> dict[str, tuple[float, float]]:
    """Of each verb: milliseconds a slice, GiB."""
    return {verb: (1e3 * one.seconds / count, one.anonymous_gib) for verb, one in outcomes.items()}


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


def _draw(figures: dict[str, dict[str, tuple[float, float]]]) -> None:
    counts = [int(count) for count in figures]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for verb in next(iter(figures.values())):
        for axis, place in zip(axes, (0, 1), strict=True):
            axis.plot(counts, [one[verb][place] for one in figures.values()], marker="o", label=verb)
    for axis, name in zip(axes, ("milliseconds a slice", "GiB without mapped files"), strict=True):
        axis.set(xlabel="slices", ylabel=name, ylim=0)
    axes[0].set(yscale="log", ylim=(None, None))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", frameon=False)
    with atomic_file(RESULTS / "growth.png") as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
