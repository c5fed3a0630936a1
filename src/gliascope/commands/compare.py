"""Folders of `run` or `evaluate` in, one table out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from gliascope.commands.figures import write_pngs
from gliascope.commands.predictions import PREDICTIONS_FILE as PREDICTIONS
from gliascope.commands.predictions import SLICE_KEY, load_predictions, to_scores
from gliascope.errors import GliascopeError, RunError
from gliascope.evaluation.comparison import Compared, compare_scores, gain
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.untested import find_untested
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.recipes.run import EnsembleMember
from gliascope.reports.comparison import ComparedRun, Comparison, EnsembleGain, Latency, equal_to_best
from gliascope.reports.model import RunFacts, TrainedModel
from gliascope.reports.pages.comparison import accuracy_against_latency, write_comparison
from gliascope.reports.report import Report
from gliascope.runtime.files import check_writable
from gliascope.runtime.progress import progress

ROUNDS, SECONDS = 100, 10.0  # of timing: as many rounds as fit, ten at least


@dataclass(frozen=True, slots=True)
class Candidate:
    """One run: what its report says, its model, and its predictions under the protocol that is compared."""

    folder: Path
    name: str
    report: Report
    run: RunFacts
    trained: TrainedModel
    bundle: Bundle
    frame: pl.DataFrame
    scores: Scores

    @property
    def members(self) -> dict[str, EnsembleMember]:
        """Those of an ensemble, by number."""
        return self.run.ensemble.members if self.run.ensemble else {}

    def to_row(self, compared: Compared, latency: Latency) -> ComparedRun:
        """What the comparison says of the run."""
        result, report = compared.result, self.report
        return ComparedRun(
            name=self.name,
            accuracy=result.accuracy,
            balanced_accuracy=result.balanced_accuracy,
            macro_auroc=result.macro_auroc,
            against_best=compared.against_best,
            folder=str(self.folder),
            recipe=self.bundle.info.recipe,
            # A run that was resumed knows its last session, and the epochs of all.
            seconds=max(self.trained.seconds, sum(row.seconds for row in report.curves)),
            device=str(self.run.environment["device"]),
            parameters=self.trained.parameters,
            bytes=len(self.bundle.model),
            latency_ms=latency,
            leak=report.leak,
        )


def compare(result_folders: Sequence[Path], folder: Path, protocol: str | None = None) -> None:
    """Compare runs on the same test slices; write compare.html, compare.json and compare.png into `folder`.

    protocol: that of the first run's headline, unless named. Each model's latency is measured here.
    Raises ReportError where a folder has no report, RunError where it is none of a run, or runs differ in
    classes, test slices, labels or groups.
    """
    check_writable(folder)
    candidates, protocol = _open_all(result_folders, protocol)
    first = candidates[0]
    for other in candidates[1:]:
        _check_comparable(first, other, protocol)
    by_name = {candidate.name: candidate for candidate in candidates}
    compared = compare_scores({name: candidate.scores for name, candidate in by_name.items()})
    latencies = dict(
        zip(by_name, measure_latencies([candidate.bundle for candidate in candidates]), strict=True)
    )
    runs = tuple(by_name[one.name].to_row(one, latencies[one.name]) for one in compared)
    tested, best = first.report.protocols[protocol], compared[0]
    data = Comparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        title=first.report.title.partition(" on ")[2],
        protocol=protocol,
        description=tested.description,
        leaky=tested.leaky,
        folds=first.frame["round"].n_unique(),
        notes=find_untested(first.scores, best.result).notes,
        n=best.result.n,
        groups=best.result.groups,
        classes=best.result.classes,
        best=best.name,
        equal_to_best=equal_to_best(runs),
        runs=runs,
        ensembles=_gains(candidates, runs),
    )
    write_pngs(folder, {"compare": accuracy_against_latency(runs)})
    write_comparison(folder, data)


def measure_latencies(bundles: Sequence[Bundle]) -> list[Latency]:
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
    return [Latency(value=median, low=low, high=high) for median, low, high in quartiles]


def _gains(candidates: Sequence[Candidate], runs: Sequence[ComparedRun]) -> tuple[EnsembleGain, ...]:
    """What each ensemble gains over those of its members that are compared, and what it costs."""
    by_name = {run.name: run for run in runs}
    found = []
    for whole in candidates:
        known = {member.model_sha256 for member in whole.members.values()}
        members = [one for one in candidates if one.trained.sha256 in known]
        if members:
            own, others = by_name[whole.name], [by_name[one.name] for one in members]
            found.append(
                EnsembleGain(
                    name=whole.name,
                    members=tuple(one.name for one in members),
                    of=len(whole.members),
                    gain=gain(whole.scores, [one.scores for one in members]),
                    latency=_times(own, others, lambda run: run.latency_ms.value),
                    bytes=_times(own, others, lambda run: run.bytes),
                    seconds=_times(own, others, lambda run: run.seconds),
                )
            )
    return tuple(found)


def _times(own: ComparedRun, others: Sequence[ComparedRun], cost: Callable[[ComparedRun], float]) -> float:
    """How many times the mean cost of others a run costs."""
    return cost(own) / float(np.mean([cost(other) for other in others]))


def _open_all(places: Sequence[Path], protocol: str | None) -> tuple[list[Candidate], str]:
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise GliascopeError(f"{', '.join(map(str, places))}: give two or more runs to compare, each once")
    reports = [Report.load(place / Report.file) for place in places]
    bundles = [_model(place, report) for place, report in zip(places, reports, strict=True)]
    recipes = [bundle.info.recipe for bundle in bundles]
    protocol = protocol or next(iter(reports[0].protocols))
    candidates = []
    for place, report, bundle in zip(places, reports, bundles, strict=True):
        recipe = bundle.info.recipe
        name = recipe if recipes.count(recipe) == 1 else f"{recipe} ({place})"
        frame = _predictions(place, report, protocol)
        try:
            scores = to_scores(frame)
        except ValueError as error:
            raise RunError(f"{place}: damaged {PREDICTIONS} ({error}); evaluate it again") from None
        run, trained = _trained(place, report)
        candidates.append(Candidate(place, name, report, run, trained, bundle, frame, scores))
    return candidates, protocol


def _predictions(place: Path, report: Report, protocol: str) -> pl.DataFrame:
    """Rows of one protocol in an order of their own, groups named by the first row of theirs."""
    if protocol not in report.protocols:
        raise RunError(
            f"{place}: has no protocol {protocol!r} but {', '.join(report.protocols)}; "
            "choose by --protocol one that all have"
        )
    frame = load_predictions(place).filter(protocol=protocol).sort(SLICE_KEY).with_row_index("row")
    if frame.height != report.protocols[protocol].n:
        raise RunError(f"{place}: {PREDICTIONS} is not of its report; evaluate it again")
    return frame.with_columns(group=pl.col("row").min().over("group"))


def _trained(place: Path, report: Report) -> tuple[RunFacts, TrainedModel]:
    if report.run is None or not isinstance(report.model, TrainedModel):
        raise RunError(f"{place}: its report is of a model that was trained elsewhere; compare runs of ours")
    return report.run, report.model


def _model(place: Path, report: Report) -> Bundle:
    path = next((path for path in (place / "bundle", place / "run" / "model") if path.exists()), None)
    if path is None:
        raise RunError(
            f"{place}: holds neither bundle nor run/model to time; make one with `gliascope bundle`"
        )
    model = Bundle.load(path)
    if model.info.model_sha256 != report.model.sha256:
        raise RunError(f"{place}: its report is of another model than {path}; evaluate it again")
    return model


def _check_comparable(first: Candidate, other: Candidate, protocol: str) -> None:
    """Raise RunError, naming both, unless the same slices were tested with the same classes and groups."""
    both = f"{first.folder} and {other.folder}"
    if first.scores.classes != other.scores.classes:
        classes = " but ".join(f"{', '.join(one.scores.classes)} ({one.name})" for one in (first, other))
        raise RunError(f"{both} differ in classes: {classes}; compare runs of one task")
    if not first.frame.select(SLICE_KEY).equals(other.frame.select(SLICE_KEY)):
        alone = [
            one.frame.join(two.frame, on=SLICE_KEY, how="anti").height
            for one, two in ((first, other), (other, first))
        ]
        raise RunError(
            f"{both} were tested on different slices under protocol {protocol!r}: "
            f"{alone[0]} only in the first, {alone[1]} only in the second; compare runs of one split"
        )
    for column in ("label", "group"):
        if not first.frame[column].equals(other.frame[column]):
            raise RunError(f"{both} give the same test slices another {column}; compare runs of one split")
