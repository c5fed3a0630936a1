"""Runs + Splits in, Report out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from gliascope import __version__
from gliascope.data.audit import Audit
from gliascope.data.catalog import Catalog
from gliascope.data.ledger import Look, enter
from gliascope.data.protocols import PROTOCOLS, WITHOUT_TEST, has_test_folder
from gliascope.data.sources import origin
from gliascope.data.split import PARTS, Split, still_there
from gliascope.data.store import store
from gliascope.data.validation import divide
from gliascope.errors import RunError
from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.metrics import (
    confident_mistakes,
    evaluate_scores,
    reliability,
    summarise_rounds,
)
from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies
from gliascope.evaluation.subgroups import evaluate_subgroups
from gliascope.evaluation.untested import find_untested
from gliascope.files import check_writable
from gliascope.inference.overlay import overlay
from gliascope.pages.plots import Shown
from gliascope.pages.report import Counts, Mistake, ProtocolResult, ReportData, write_report
from gliascope.pipeline.figures import write_figures
from gliascope.pipeline.looks import looks_of
from gliascope.pipeline.model import Answers, Model, OwnModel
from gliascope.pipeline.predictions import KNOWN, tested, write_predictions
from gliascope.pipeline.trust import (
    calibration,
    outlier_scores,
    prediction_sets,
    temperatures,
    verdicts,
)
from gliascope.recipes.run import Run

MISTAKES = 12
DRAWN = 24


def evaluate(
    runs: Sequence[Run], catalog: Catalog, splits: Sequence[Split], folder: Path, audit: Audit | None = None
) -> None:
    """Score exported models on validation and test parts; write report.json and report.html.

    Beside them go predictions.parquet, confusion.png, curves.png, predictions.png, and ledger.jsonl, a line
    for each look at a test subset. Each split is scored by the run that was trained on its training part.
    Raises RunError where there is none, or it is unfinished.
    """
    check_writable(folder)
    for trained in runs:
        trained.check_finished()
    images = store(catalog.frame, runs[0].recipe.preprocessing)
    splits = [split.for_task(runs[0].recipe.task) for split in still_there(splits, images)]
    report_on(_models(runs, catalog, splits), catalog, splits, folder, audit)


def report_on(
    models: Iterable[tuple[Model, Sequence[Split]]],
    catalog: Catalog,
    splits: Sequence[Split],
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """As `evaluate`, of any models, each with those of `splits` that it answers: the first is the headline's.

    The labels of `splits` are among each model's classes.
    """
    results: dict[str, list[tuple[Scores, Split]]] = {}
    said: dict[str, list[Answers]] = {}
    headline: tuple[Model, Scores, Answers] | None = None
    predicted: list[pl.DataFrame] = []
    validations: dict[str, Scores | None] = {}
    uses: dict[str, list[dict[str, Any]]] = {}
    calibrated: dict[str, list[dict[str, int]]] = {}
    looks: list[Look] = []
    for model, served in models:
        validation = divide(served[0].frame, model.chooses)
        validated = _scores(model, validation.calibrating, "val")  # thresholds are calibrated, too
        for split in served:
            if not model.foreign:
                uses.setdefault(split.protocol, []).append({"round": split.round} | validation.facts)
            found = _scores(model, split.part("test"), "test")
            assert found is not None  # noqa: S101 (None is for validation only)
            scores, answers = found
            results.setdefault(split.protocol, []).append((scores, split))
            said.setdefault(split.protocol, []).append(answers)
            if answers.judge:
                counts = dict(validation.calibrating["label"].value_counts().rows())
                calibrated.setdefault(split.protocol, []).append(counts)
            predicted.append(tested(split, catalog, scores))
            looks += looks_of(model, split)
            validations[split.protocol] = validated and validated[0]
            if split is splits[0]:
                headline = model, scores, answers
    assert headline is not None  # noqa: S101 (the first split has a model)
    deployed = {split.protocol for split in splits if split.training == splits[0].training}
    rows = pl.concat(predicted, how="diagonal")
    earlier = enter(folder, looks)
    protocols = {}
    for name, split in {split.protocol: split for split in splits}.items():
        own = rows.filter(protocol=name)
        result = _result(
            split,
            results[name],
            said[name],
            own,
            validations[name],
            calibrated.get(name, []),
            name in deployed,
        )
        protocols[name] = replace(result, validation=uses.get(name, ()), looks=earlier[name])
    if "grouped" in protocols and not has_test_folder(catalog.frame):
        grouped = protocols["grouped"]
        protocols["grouped"] = replace(grouped, description=f"{grouped.description} {WITHOUT_TEST}")
    model, scores, answers = headline
    mistakes = _mistakes(splits[0], model, scores, answers)
    facts = model.facts()
    report = _report(model, facts, catalog, splits[0], protocols, mistakes, audit)
    write_predictions(rows, folder)
    write_figures(folder, report, _drawn(splits[0], model, scores, report.run.get("seed", 0)))
    write_report(folder, report)


def _models(
    runs: Sequence[Run], catalog: Catalog, splits: Sequence[Split]
) -> Iterator[tuple[Model, list[Split]]]:
    """Each run that a split was trained by, with those splits; one at a time is held in memory."""
    for training, trained in _by_training(runs, splits).items():
        served = [split for split in splits if split.training == training]
        if served:
            yield OwnModel(trained, catalog), served


def _scores(model: Model, frame: pl.DataFrame, part: str) -> tuple[Scores, Answers] | None:
    """What a model says of these rows of a split; None for none, or where it says nothing of the part."""
    answers = None if frame.is_empty() else model.answer(frame, part)
    if answers is None:
        return None
    labels = np.array([model.classes.index(label) for label in frame["label"]], dtype=np.int64)
    return Scores(answers.probabilities, labels, frame["group"].to_numpy(), model.classes), answers


def _by_training(runs: Sequence[Run], splits: Sequence[Split]) -> dict[str, Run]:
    found = {trained.record.split: trained for trained in runs}
    for split in splits:
        if split.training not in found:
            name = f"{split.protocol} {split.round}".strip()
            raise RunError(f"{runs[0].folder}: was trained on another split than {name}; give its run, too")
    return found


def _result(
    split: Split,
    rounds: list[tuple[Scores, Split]],
    said: list[Answers],
    rows: pl.DataFrame,
    validation: Scores | None,
    calibrated: Sequence[Mapping[str, int]],
    deployed: bool,
) -> ProtocolResult:
    """split: one round of a protocol; rounds: all, and what was `said` in each, in the order of `rows`.

    calibrated: slices by class that calibrated each model which has a Judge.
    A round is a model: nothing is ranked or binned over several (see `Scores`).
    """
    pooled = Scores.join([scores for scores, _ in rounds])
    several = len(rounds) > 1
    result = evaluate_scores(pooled)
    return ProtocolResult(
        split.description,
        result,
        reliability(pooled),
        _spread(rounds) if several else None,
        PROTOCOLS[split.protocol].leaky,
        deployed and not several,
        evaluate_subgroups(pooled, {name: rows[name].to_list() for name in KNOWN}),
        operating=operating_points(pooled, validation),
        curves=evaluate_curves(pooled),
        studies=evaluate_studies(pooled, rows["study"].to_list(), outlier_scores=outlier_scores(said)),
        calibration=calibration(pooled, said),
        sets=prediction_sets(pooled, said),
        verdicts=verdicts(pooled, said),
        untested=find_untested(pooled, result, calibrated, temperatures(said)),
    )


def _spread(rounds: list[tuple[Scores, Split]]) -> dict[str, Any]:
    """Numbers of each round and, under `repeats`, of each drawing where rounds were drawn several times."""
    drawings: dict[int, list[Scores]] = {}
    for scores, split in rounds:
        drawings.setdefault(split.seed, []).append(scores)
    repeats = {f"repeat {n}": Scores.join(parts) for n, parts in enumerate(drawings.values(), start=1)}
    return summarise_rounds({split.round: scores for scores, split in rounds}) | {
        "repeats": summarise_rounds(repeats) if 1 < len(repeats) < len(rounds) else None
    }


def _report(
    model: Model,
    facts: dict[str, Any],
    catalog: Catalog,
    split: Split,
    protocols: dict[str, ProtocolResult],
    mistakes: list[Mistake],
    audit: Audit | None,
) -> ReportData:
    sources = catalog.frame["source"].unique().sort().to_list()
    return ReportData(
        title=f"{model.name} on {', '.join(sources)}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocols=protocols,
        sources=_counts(catalog.frame, "source", sources),
        parts=_counts(split.frame, "part", list(PARTS)),
        mistakes=mistakes,
        rejects=dict(catalog.rejects["reason"].value_counts().sort("reason").rows()),
        audit=None if audit is None else audit.facts["verdict"],
        overlaps=[] if audit is None else audit.facts["between_sources"],
        decisions=split.decisions,
        origins=_origins(catalog.frame),
        foreign=model.foreign,
        **facts,
    )


def _mistakes(split: Split, model: Model, test: Scores, answers: Answers) -> list[Mistake]:
    frame = split.part("test")
    numbers = confident_mistakes(test, MISTAKES)
    maps = None if answers.outputs is None else answers.outputs.maps
    found = []
    for number, pixels in zip(numbers.tolist(), model.pictures(frame[numbers]), strict=True):
        predicted = int(test.predictions[number])
        drawn = None
        if maps is not None and answers.square is not None:
            drawn = _png(np.asarray(overlay(pixels, maps[number, predicted], answers.square)))
        found.append(
            Mistake(
                file=frame["path"][number],
                label=test.classes[int(test.labels[number])],
                predicted=test.classes[predicted],
                probability=float(test.confidences[number]),
                image=_png(pixels),
                overlay=drawn,
            )
        )
    return found


def _drawn(split: Split, model: Model, test: Scores, seed: int) -> list[Shown]:
    """DRAWN test slices at random."""
    frame = split.part("test")
    numbers = np.random.default_rng(seed).permutation(len(test))[:DRAWN]
    return [
        Shown(
            pixels,
            test.classes[int(test.labels[number])],
            test.classes[int(test.predictions[number])],
            float(test.confidences[number]),
        )
        for number, pixels in zip(numbers.tolist(), model.pictures(frame[numbers]), strict=True)
    ]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="png")
    return content.getvalue()


def _origins(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """What is known of sources that `fetch` brought, as long as their folders are there."""
    folders = frame.select("root", "source").unique().sort(pl.all())
    found = {name: origin(Path(root) / name) for root, name in folders.iter_rows()}
    return {name: known.model_dump(mode="json") for name, known in found.items() if known}


def _counts(frame: pl.DataFrame, column: str, names: list[str]) -> list[Counts]:
    counts = []
    for name in names:
        rows = frame.filter(pl.col(column) == name)
        groups = rows["group"].n_unique() if column == "part" else None
        counts.append(Counts(name, dict(rows["label"].value_counts().sort("label").rows()), groups))
    return counts
