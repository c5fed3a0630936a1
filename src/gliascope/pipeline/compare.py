"""Folders of `run` or `evaluate` in, one table out."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gliascope import __version__
from gliascope.errors import GliascopeError, RunError
from gliascope.evaluation.comparison import compare_scores, gain
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.untested import find_untested
from gliascope.files import check_writable
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.pages.comparison import ComparisonData, write_comparison
from gliascope.pipeline.figures import write_pngs
from gliascope.pipeline.predictions import NAME as PREDICTIONS
from gliascope.pipeline.predictions import SLICE, load_predictions, to_scores
from gliascope.progress import progress

ROUNDS, SECONDS = 100, 10.0  # of timing: as many rounds as fit, ten at least


@dataclass(frozen=True, slots=True)
class Candidate:
    """One run: its report, its model, and its predictions under the protocol that is compared."""

    place: Path
    name: str
    report: dict[str, Any]
    bundle: Bundle
    frame: pl.DataFrame
    scores: Scores

    @property
    def members(self) -> dict[str, Any]:
        """Those of an ensemble, by number."""
        found: dict[str, Any] = (self.report["run"].get("ensemble") or {"members": {}})["members"]
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What is no score: place, recipe, seconds, device, parameters, bytes, leak."""
        model, curves = self.report["model"], self.report["curves"]
        return {
            "place": str(self.place),
            "recipe": self.bundle.info.recipe,
            # A run that was resumed knows its last session, and the epochs of all.
            "seconds": max(model["seconds"], sum(row["seconds"] for row in curves)),
            "device": self.report["run"]["environment"]["device"],
            "parameters": model["parameters"],
            "bytes": len(self.bundle.model),
            "leak": self.report["leak"],
        }


def compare(places: Sequence[Path], folder: Path, protocol: str | None = None) -> None:
    """Compare runs on the same test slices; write compare.html, compare.json and compare.png into `folder`.

    protocol: that of the first run's headline, unless named. Each model's latency is measured here.
    Raises RunError where a folder is none of a run, or runs differ in classes, test slices, labels or groups.
    """
    check_writable(folder)
    candidates, protocol = _open_all(places, protocol)
    first = candidates[0]
    for other in candidates[1:]:
        _check_comparable(first, other, protocol)
    by_name = {candidate.name: candidate for candidate in candidates}
    rows = compare_scores({name: candidate.scores for name, candidate in by_name.items()})
    latencies = dict(zip(by_name, measure([candidate.bundle for candidate in candidates]), strict=True))
    for row in rows:
        row.update(by_name[row["name"]].facts, latency_ms=latencies[row["name"]])
    facts = {row["name"]: row for row in rows}
    tested = first.report["protocols"][protocol]
    data = ComparisonData(
        title=first.report["title"].partition(" on ")[2],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocol=protocol,
        description=tested["description"],
        leaky=tested["leaky"],
        rounds=first.frame["round"].n_unique(),
        rows=rows,
        notes=find_untested(first.scores, rows[0]["result"])["notes"],
        ensembles=[found for one in candidates if (found := _against_members(one, candidates, facts))],
    )
    write_pngs(folder, {"compare": data.figure})
    write_comparison(folder, data)


def measure(bundles: Sequence[Bundle]) -> list[dict[str, float]]:
    """Milliseconds that each model takes for one slice on ONNX Runtime: median and quartiles.

    The models take turns, so that what else the machine does falls on all alike. Each call that is timed
    follows one that is not, which brings the model back into the processor's caches.
    """
    engines = [Engine(bundle) for bundle in bundles]
    noise = np.random.default_rng(0)
    slices = [noise.integers(0, 256, (1, *b.info.preprocessing.shape), dtype=np.uint8) for b in bundles]
    times: list[list[float]] = [[] for _ in bundles]
    began = time.perf_counter()
    with progress("latency", ROUNDS) as advance:
        for number in range(ROUNDS):
            for turn in np.random.default_rng(number).permutation(len(engines)):
                engines[turn](slices[turn])
                start = time.perf_counter()
                engines[turn](slices[turn])
                times[turn].append(1000 * (time.perf_counter() - start))
            advance(1)
            if number >= 9 and time.perf_counter() - began > SECONDS * len(engines):
                break
    quartiles = [np.quantile(taken, [0.5, 0.25, 0.75]).tolist() for taken in times]
    return [dict(zip(("value", "low", "high"), found, strict=True)) for found in quartiles]


def _against_members(
    whole: Candidate, candidates: Sequence[Candidate], facts: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What an ensemble gains over those of its members that are compared, and how many times their mean it
    costs; None for other runs, and where none of them is.
    """
    known = {member["model_sha256"] for member in whole.members.values()}
    members = [one for one in candidates if one.report["model"]["sha256"] in known]
    if not members:
        return None

    def times(cost: Callable[[Any], float]) -> float:
        return cost(facts[whole.name]) / float(np.mean([cost(facts[one.name]) for one in members]))

    return {
        "name": whole.name,
        "members": [one.name for one in members],
        "of": len(whole.members),
        "gain": gain(whole.scores, [one.scores for one in members]),
        "latency": times(lambda row: row["latency_ms"]["value"]),
        "bytes": times(lambda row: row["bytes"]),
        "seconds": times(lambda row: row["seconds"]),
    }


def _open_all(places: Sequence[Path], protocol: str | None) -> tuple[list[Candidate], str]:
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise GliascopeError(f"{', '.join(map(str, places))}: give two or more runs to compare, each once")
    reports = [_report(place) for place in places]
    bundles = [_model(place, report) for place, report in zip(places, reports, strict=True)]
    recipes = [bundle.info.recipe for bundle in bundles]
    protocol = protocol or next(iter(reports[0]["protocols"]))
    candidates = []
    for place, report, bundle in zip(places, reports, bundles, strict=True):
        recipe = bundle.info.recipe
        name = recipe if recipes.count(recipe) == 1 else f"{recipe} ({place})"
        frame = _predictions(place, report, protocol)
        try:
            candidates.append(Candidate(place, name, report, bundle, frame, to_scores(frame)))
        except ValueError as error:
            raise RunError(f"{place}: damaged {PREDICTIONS} ({error}); evaluate it again") from None
    return candidates, protocol


def _predictions(place: Path, report: dict[str, Any], protocol: str) -> pl.DataFrame:
    """Rows of one protocol in an order of their own, groups named by the first row of theirs."""
    if protocol not in report["protocols"]:
        raise RunError(
            f"{place}: has no protocol {protocol!r} but {', '.join(report['protocols'])}; "
            "choose by --protocol one that all have"
        )
    frame = load_predictions(place).filter(protocol=protocol).sort(SLICE).with_row_index("row")
    if frame.height != report["protocols"][protocol]["n"]:
        raise RunError(f"{place}: {PREDICTIONS} is not of its report; evaluate it again")
    return frame.with_columns(group=pl.col("row").min().over("group"))


def _report(place: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads((place / "report.json").read_text(encoding="utf-8"))
        missing = {"title", "protocols", "curves", "leak", "run", "model"} - set(report)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{place}: holds no report ({error}); make one with `gliascope run`") from None
    if missing:
        raise RunError(f"{place}: its report lacks {', '.join(sorted(missing))}; evaluate it again")
    return report


def _model(place: Path, report: dict[str, Any]) -> Bundle:
    path = next((path for path in (place / "bundle", place / "run" / "model") if path.exists()), None)
    if path is None:
        raise RunError(
            f"{place}: holds neither bundle nor run/model to time; make one with `gliascope bundle`"
        )
    model = Bundle.load(path)
    if model.info.model_sha256 != report["model"]["sha256"]:
        raise RunError(f"{place}: its report is of another model than {path}; evaluate it again")
    return model


def _check_comparable(first: Candidate, other: Candidate, protocol: str) -> None:
    """Raise RunError, naming both, unless the same slices were tested with the same classes and groups."""
    both = f"{first.place} and {other.place}"
    if first.scores.classes != other.scores.classes:
        classes = " but ".join(f"{', '.join(one.scores.classes)} ({one.name})" for one in (first, other))
        raise RunError(f"{both} differ in classes: {classes}; compare runs of one task")
    if not first.frame.select(SLICE).equals(other.frame.select(SLICE)):
        alone = [
            one.frame.join(two.frame, on=SLICE, how="anti").height
            for one, two in ((first, other), (other, first))
        ]
        raise RunError(
            f"{both} were tested on different slices under protocol {protocol!r}: "
            f"{alone[0]} only in the first, {alone[1]} only in the second; compare runs of one split"
        )
    for column in ("label", "group"):
        if not first.frame[column].equals(other.frame[column]):
            raise RunError(f"{both} give the same test slices another {column}; compare runs of one split")
