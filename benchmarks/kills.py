"""Killed at random moments and started again: what is lost, what is double, and what differs at the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measure import Row

KILLS = 20  # of each verb
CHAIN = 5  # kills of one job, at most, before it may come to its end
MANY, FEW = 150, 25  # slices a class: for verbs that go through files, for those that train
SETS = ("preprocessing.size=64", "views=2", "stages.0.epochs=4", "stages.0.batch_size=32")
SPACE = "objective: val_loss\nfields:\n  stages.0.lr: {low: 1.0e-4, high: 1.0e-1, log: true}\n"
_TIMES = {"seconds", "created", "started", "latency_ms"}  # what no two jobs have in common
_SKIPPED = {".html", ".db"}  # pages hold times; Optuna's own knows how often it was interrupted


@dataclass(frozen=True)
class Verb:
    """A command in a folder of its own, and the files it makes there."""

    name: str
    arguments: Callable[[Path], Sequence[object]]
    made: Sequence[str]


def kills(_: Path, work: Path) -> Iterator[Row]:
    """Every verb, killed KILLS times."""
    for verb in verbs(prepare(work / "inputs")):
        yield from killed(verb, work)


def prepare(inputs: Path) -> Path:
    from gliascope.synthetic import write_phantoms

    start = partial(finish, place=inputs / "own")
    write_phantoms(inputs / "phantoms", MANY)
    write_phantoms(inputs / "few", FEW)
    start(["scan", inputs / "phantoms" / "synthetic", "--out", inputs / "many.parquet"])
    source = inputs / "few" / "synthetic"
    start(["scan", source, "--out", inputs / "catalog.parquet"])
    start(["split", inputs / "catalog.parquet", "--out", inputs / "split.parquet"])
    tables = (inputs / "catalog.parquet", inputs / "split.parquet")
    start(["train", *tables, "--out", inputs / "run", *sets(1)])
    start(["evaluate", inputs / "run", *tables, "--out", inputs])
    start(["bundle", inputs / "run", inputs / "report.json", "--out", inputs / "bundle"])
    (inputs / "space.yaml").write_text(SPACE)
    return inputs


def sets(epochs: int = 4) -> list[str]:
    return [part for one in (*SETS, f"stages.0.epochs={epochs}") for part in ("--set", one)]


def verbs(inputs: Path) -> list[Verb]:
    many, source = (inputs / name / "synthetic" for name in ("phantoms", "few"))
    tables = (inputs / "catalog.parquet", inputs / "split.parquet")
    groups = ("--groups", inputs / "few" / "groups.csv")
    cross = ("crossval", source, *groups, *sets(1))
    predict = ("predict", inputs / "bundle", many)
    tune = ("tune", *tables, "--space", inputs / "space.yaml", "--trials", 5, *sets(2))
    return [
        Verb("scan", lambda place: ["scan", many, "--out", place / "out" / "c.parquet"], ["out"]),
        Verb("store", lambda _: ["store", inputs / "many.parquet"], ["cache/store"]),
        Verb("predict", lambda place: [*predict, "--out", place / "f.jsonl"], ["."]),
        Verb("train", lambda place: ["train", *tables, "--out", place / "run", *sets()], ["run"]),
        Verb("run", lambda place: ["run", source, *groups, "--out", place / "out", *sets()], ["out"]),
        Verb("crossval", lambda place: [*cross, "--out", place / "out"], ["out"]),
        Verb("tune", lambda place: [*tune, "--out", place / "out"], ["out"]),
    ]


def killed(verb: Verb, work: Path) -> list[Row]:
    """Kill a verb KILLS times, CHAIN times a job at most, and hold each end against an untouched job's."""
    whole = work / verb.name / "whole"
    began = time.perf_counter()
    finish(verb.arguments(whole), whole)
    seconds = time.perf_counter() - began
    expected = content(whole, verb)
    drawn = random.Random(verb.name)
    times = jobs = differing = left = double = 0
    while times < KILLS:
        place = work / verb.name / f"job-{jobs}"
        for _ in range(min(CHAIN, KILLS - times)):
            if ended(verb.arguments(place), place, drawn.uniform(0, seconds)):
                break
            times += 1
        finish(verb.arguments(place), place)
        found = content(place, verb)
        jobs += 1
        other = [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]
        hidden = leftovers(place)
        if other or hidden:
            print(f"{place}: {', '.join(other)} differ; left: {', '.join(map(str, hidden))}", file=sys.stderr)
        differing += len(other)
        left += len(hidden)
        double += doubles(place)
        shutil.rmtree(place)
    name = f"`{verb.name}` killed {times} times in {jobs} jobs of {seconds:.0f} s"
    figures = f"{differing} of {jobs * len(expected)} files differ, {double} rows double, {left} leftovers"
    return [(name, figures, "0, 0, 0")]


def start(arguments: Sequence[object], place: Path) -> "subprocess.Popen[str]":
    place.mkdir(parents=True, exist_ok=True)
    environment = {"GLIASCOPE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "gliascope", *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(arguments: Sequence[object], place: Path) -> None:
    """Run to the end; stop the benchmark where that fails."""
    process = start(arguments, place)
    errors = process.communicate()[1]
    if process.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} failed: {errors}")


def ended(arguments: Sequence[object], place: Path, after: float) -> bool:
    """Kill a command after some seconds; whether it came to its end before."""
    process = start(arguments, place)
    try:
        errors = process.communicate(timeout=after)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} failed: {errors}")
    return True


def content(place: Path, verb: Verb) -> dict[str, Any]:
    """What lies in the verb's files, without times."""
    files = [path for made in verb.made for path in (place / made).rglob("*") if path.is_file()]
    return {
        path.relative_to(place).as_posix(): _content(path)
        for path in files
        if path.suffix not in _SKIPPED
        and not {"tensorboard", "trials"} & set(path.parts)
        and (verb.name != "predict" or path.suffix == ".jsonl")
    }


def _content(path: Path) -> Any:
    if path.name == "tune.json":  # a trial that was interrupted has another number
        trials = json.loads(path.read_text())["trials"]
        return [(trial["values"], trial["value"], trial["pruned"], trial["epochs"]) for trial in trials]
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.name == "metrics.csv":
        return pl.read_csv(path).drop("seconds").rows()
    if path.name == "MODEL_CARD.md":
        return [line for line in path.read_text().splitlines() if not line.startswith("Written by")]
    if path.suffix == ".safetensors":  # beside tensors, the header holds times
        from safetensors import safe_open

        with safe_open(path, framework="np") as file:
            return file.metadata()["digest"]
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in _TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def leftovers(place: Path) -> list[Path]:
    """Hidden files and folders: locks, unfinished blocks, temporary files."""
    return list(place.rglob(".*"))


def doubles(place: Path) -> int:
    """Rows that are in a catalogue or in findings more than once."""
    catalogs = [path for path in place.rglob("c*.parquet") if ".thumbnails" not in path.name]
    frames = [pl.read_parquet(path, columns=["path", "index"]) for path in catalogs]
    frames += [pl.read_ndjson(path).select("file", "slice") for path in place.rglob("f.jsonl")]
    return sum(frame.height - frame.unique().height for frame in frames)
