"""Compare runs that were tested on the same slices."""

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
from gliascope.evaluation.comparison import RankedModel, accuracy_gain, compare_scores
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

MAX_ROUNDS, MIN_ROUNDS = 100, 10  # of timing
SECONDS_PER_MODEL = 10.0  # after which no further round is timed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run with its report, its model, and its predictions under the compared protocol."""

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
        """Members of an ensemble by number; empty for any other run."""
        return self.run.ensemble.members if self.run.ensemble else {}

    def to_row(self, compared: RankedModel, latency: Latency) -> ComparedRun:
        """Return the run's row of the comparison."""
        result, report = compared.result, self.report
        return ComparedRun(
            name=self.name,
            accuracy=result.accuracy,
            balanced_accuracy=result.balanced_accuracy,
            macro_auroc=result.macro_auroc,
            against_best=compared.against_best,
            folder=str(self.folder),
            recipe=self.bundle.info.recipe,
            # A resumed run records the time of its last session only, but the epochs of all sessions.
            seconds=max(self.trained.seconds, sum(row.seconds for row in report.curves)),
            device=str(self.run.environment["device"]),
            parameters=self.trained.parameters,
            bytes=len(self.bundle.model),
            latency_ms=latency,
            leak=report.leak,
        )


def compare(result_folders: Sequence[Path], folder: Path, protocol: str | None = None) -> None:
    """Compare runs on the same test slices; write compare.html, compare.json and compare.png.

    The latency of each model is measured on this machine.

    Parameters
    ----------
    result_folders
        Two or more folders that `run` or `evaluate` wrote.
    folder
        Where the comparison is written.
    protocol
        The protocol under which the runs are compared; by default the first protocol of the first run.

    Raises
    ------
    ReportError
        If a folder has no report.
    RunError
        If a report is not of a run, or the runs differ in classes, test slices, labels or groups.
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
        folds=first.frame["fold_name"].n_unique(),
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
    """Measure how many milliseconds each model takes for one slice on ONNX Runtime: median and quartiles.

    The models take turns in random order, so that other load on the machine slows all of them alike. Before
    each timed call, the model is called once untimed, which brings it back into the processor's caches.
    """
    engines = [Engine(bundle) for bundle in bundles]
    noise = np.random.default_rng(0)
    slices = [noise.integers(0, 256, (1, *b.info.preprocessing.shape), dtype=np.uint8) for b in bundles]
    times: list[list[float]] = [[] for _ in bundles]
    began = time.perf_counter()
    with progress("latency", MAX_ROUNDS) as advance:
        for number in range(MAX_ROUNDS):
            for turn in np.random.default_rng(number).permutation(len(engines)):
                engines[turn](slices[turn])
                start = time.perf_counter()
                engines[turn](slices[turn])
                times[turn].append(1000 * (time.perf_counter() - start))
            advance(1)
            if number + 1 >= MIN_ROUNDS and time.perf_counter() - began > SECONDS_PER_MODEL * len(engines):
                break
    quartiles = [np.quantile(taken, [0.5, 0.25, 0.75]).tolist() for taken in times]
    return [Latency(value=median, low=low, high=high) for median, low, high in quartiles]


def _gains(candidates: Sequence[Candidate], runs: Sequence[ComparedRun]) -> tuple[EnsembleGain, ...]:
    """Return what each ensemble gains over those of its members that are compared, and what it costs."""
    by_name = {run.name: run for run in runs}
    gains = []
    for whole in candidates:
        hashes = {member.model_sha256 for member in whole.members.values()}
        members = [one for one in candidates if one.trained.sha256 in hashes]
        if members:
            own, others = by_name[whole.name], [by_name[one.name] for one in members]
            gains.append(
                EnsembleGain(
                    name=whole.name,
                    members=tuple(one.name for one in members),
                    of=len(whole.members),
                    gain=accuracy_gain(whole.scores, [one.scores for one in members]),
                    latency=_cost_ratio(own, others, lambda run: run.latency_ms.value),
                    bytes=_cost_ratio(own, others, lambda run: run.bytes),
                    seconds=_cost_ratio(own, others, lambda run: run.seconds),
                )
            )
    return tuple(gains)


def _cost_ratio(
    own: ComparedRun, others: Sequence[ComparedRun], cost: Callable[[ComparedRun], float]
) -> float:
    """Return the cost of a run divided by the mean cost of the others."""
    return cost(own) / float(np.mean([cost(other) for other in others]))


def _open_all(folders: Sequence[Path], protocol: str | None) -> tuple[list[Candidate], str]:
    """Load all runs; returns them with the protocol under which they are compared."""
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise GliascopeError(f"{', '.join(map(str, folders))}: give two or more runs to compare, each once")
    reports = [Report.load(folder / Report.file) for folder in folders]
    bundles = [_load_bundle(folder, report) for folder, report in zip(folders, reports, strict=True)]
    recipes = [bundle.info.recipe for bundle in bundles]
    protocol = protocol or next(iter(reports[0].protocols))
    candidates = []
    for folder, report, bundle in zip(folders, reports, bundles, strict=True):
        recipe = bundle.info.recipe
        name = recipe if recipes.count(recipe) == 1 else f"{recipe} ({folder})"
        frame = _load_rows(folder, report, protocol)
        try:
            scores = to_scores(frame)
        except ValueError as error:
            raise RunError(f"{folder}: damaged {PREDICTIONS} ({error}); evaluate the run again") from None
        run, trained = _run_facts(folder, report)
        candidates.append(Candidate(folder, name, report, run, trained, bundle, frame, scores))
    return candidates, protocol


def _load_rows(folder: Path, report: Report, protocol: str) -> pl.DataFrame:
    """Load the predictions of one protocol in sorted order; a group is named by its first row.

    Names of groups differ between runs, but groups of the same slices get the same name here.
    """
    if protocol not in report.protocols:
        raise RunError(
            f"{folder}: has no protocol {protocol!r} but {', '.join(report.protocols)}; "
            "choose by --protocol one that all runs have"
        )
    frame = load_predictions(folder).filter(protocol=protocol).sort(SLICE_KEY).with_row_index("row")
    if frame.height != report.protocols[protocol].n:
        raise RunError(
            f"{folder}: {PREDICTIONS} does not belong to the report beside it; evaluate the run again"
        )
    return frame.with_columns(group=pl.col("row").min().over("group"))


def _run_facts(folder: Path, report: Report) -> tuple[RunFacts, TrainedModel]:
    if report.run is None or not isinstance(report.model, TrainedModel):
        raise RunError(
            f"{folder}: its report is of a model that was trained elsewhere; compare runs of Gliascope"
        )
    return report.run, report.model


def _load_bundle(folder: Path, report: Report) -> Bundle:
    path = next((path for path in (folder / "bundle", folder / "run" / "model") if path.exists()), None)
    if path is None:
        raise RunError(
            f"{folder}: holds neither bundle/ nor run/model/ to time; make one with `gliascope bundle`"
        )
    model = Bundle.load(path)
    if model.info.model_sha256 != report.model.sha256:
        raise RunError(f"{folder}: its report is of another model than {path}; evaluate the run again")
    return model


def _check_comparable(first: Candidate, other: Candidate, protocol: str) -> None:
    """Raise RunError unless both were tested on the same slices with the same classes, labels and groups."""
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
