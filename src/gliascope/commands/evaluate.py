"""Runs + Splits in, Report out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from gliascope.audit import Audit
from gliascope.commands.earlier_evaluations import ledger_entries
from gliascope.commands.evaluated_model import EvaluatedModel, ModelPredictions, RunModel
from gliascope.commands.example_slices import mistakes_with_pictures, random_examples
from gliascope.commands.figures import write_figures
from gliascope.commands.predictions import SUBGROUP_COLUMNS, prediction_rows, write_predictions
from gliascope.commands.uncertainty_report import (
    calibration,
    outlier_scores,
    prediction_sets,
    temperatures,
    verdicts,
)
from gliascope.dataset.catalog import Catalog
from gliascope.download import origin
from gliascope.download.public import Origin
from gliascope.errors import RunError
from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.folds import Folds, summarise_folds
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies
from gliascope.evaluation.subgroups import evaluate_subgroups
from gliascope.evaluation.untested import find_untested
from gliascope.inference.bundle import Bundle
from gliascope.recipes.run import Run
from gliascope.reports.pages.report import write_report
from gliascope.reports.report import (
    ClassCounts,
    FoldValidation,
    ProtocolReport,
    Report,
    find_leak,
)
from gliascope.runtime.files import check_writable
from gliascope.splits.ledger import EarlierEvaluations, LedgerEntry, record
from gliascope.splits.protocols import PROTOCOLS, WITHOUT_TEST, has_test_folder
from gliascope.splits.split import SUBSETS, Split
from gliascope.splits.validation import Validation, divide_validation
from gliascope.store.store import Store, store


def evaluate(
    runs: Sequence[Run],
    catalog: Catalog,
    splits: Sequence[Split],
    images: Store,
    *,
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """Score exported models on validation and test subsets; write report.json and report.html.

    Beside them go predictions.parquet, confusion.png, curves.png, predictions.png, and ledger.jsonl, a line
    for each look at a test subset.

    Parameters
    ----------
    runs : Sequence[Run]
        Finished runs. Each split is scored by the run that was trained on its training subset.
    catalog : Catalog
        What the splits are of.
    splits : Sequence[Split]
        With the labels of the runs' task, and only slices that `images` holds.
    images : Store
        The catalogue's slices. A run of another preprocessing gets a store of its own.
    folder : Path
        Where the report goes.
    audit : Audit, optional
        What the report says of the dataset.

    Raises
    ------
    RunError
        Where a run is unfinished, or a split has none.
    """
    check_writable(folder)
    for trained in runs:
        trained.check_finished()
    evaluate_models(_models(runs, catalog, splits, images), catalog, splits, folder, audit)


def evaluate_models(
    models: Iterable[tuple[EvaluatedModel, Sequence[Split]]],
    catalog: Catalog,
    splits: Sequence[Split],
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """As `evaluate`, of any models, each with those of `splits` that it answers: the first is the headline's.

    The labels of `splits` are among each model's classes.
    """
    tested: list[TestedModel] = []
    headline: tuple[EvaluatedModel, TestedModel] | None = None
    for model, served in models:
        for split in served:
            tested.append(_test(model, split, catalog))
            if split is splits[0]:
                headline = model, tested[-1]
    assert headline is not None  # noqa: S101 (the first split has a model)
    earlier = record(folder, [look for one in tested for look in one.ledger_entries])
    protocols = {}
    for name in dict.fromkeys(split.protocol for split in splits):
        rounds = [one for one in tested if one.split.protocol == name]
        deployed = any(one.split.training == splits[0].training for one in rounds)
        protocols[name] = _result(rounds, deployed, earlier[name])
    if "grouped" in protocols and not has_test_folder(catalog.frame):
        grouped = protocols["grouped"]
        described = f"{grouped.description} {WITHOUT_TEST}"
        protocols["grouped"] = grouped.model_copy(update={"description": described})
    model, first = headline
    found = mistakes_with_pictures(first.split, model, first.scores, first.predictions)
    report = _report(model, first, catalog, protocols, audit).model_copy(
        update={"mistakes": tuple(mistake for mistake, _ in found)}
    )
    write_predictions(pl.concat([one.rows for one in tested], how="diagonal"), folder)
    shown = random_examples(first.split, model, first.scores, report.run.seed if report.run else 0)
    write_figures(folder, report, shown)
    write_report(folder, report, [picture for _, picture in found])


@dataclass(frozen=True, slots=True)
class TestedModel:
    """A model on one split: what it says of the test slices, and who calibrated it.

    rows: of predictions.parquet. validated: of the slices that calibrate; thresholds are chosen on them, too.
    """

    split: Split
    scores: Scores
    predictions: ModelPredictions
    rows: pl.DataFrame
    validation: Validation
    validation_scores: Scores | None
    ledger_entries: Sequence[LedgerEntry]
    external: bool

    @property
    def calibrating_slices(self) -> dict[str, int]:
        """Slices by class that calibrated."""
        return dict(self.validation.calibrating["label"].value_counts().rows())


def _test(model: EvaluatedModel, split: Split, catalog: Catalog) -> TestedModel:
    validation = divide_validation(split.frame, model.is_validation_chosen)
    validated = _scores(model, validation.calibrating, "val")
    found = _scores(model, split.subset("test"), "test")
    assert found is not None  # noqa: S101 (None is for validation only)
    scores, answers = found
    return TestedModel(
        split,
        scores,
        answers,
        prediction_rows(split, catalog, scores),
        validation,
        validated and validated[0],
        ledger_entries(model, split),
        model.external,
    )


def _models(
    runs: Sequence[Run], catalog: Catalog, splits: Sequence[Split], images: Store
) -> Iterator[tuple[EvaluatedModel, list[Split]]]:
    """Each run that a split was trained by, with those splits; one at a time is held in memory."""
    for training, trained in _by_training(runs, splits).items():
        served = [split for split in splits if split.training == training]
        if served:
            bundle = Bundle.load(trained.model)
            if not images.serves(bundle.info.preprocessing):
                images = store(catalog.frame, bundle.info.preprocessing)
            yield RunModel(trained, bundle, images), served


def _scores(model: EvaluatedModel, frame: pl.DataFrame, part: str) -> tuple[Scores, ModelPredictions] | None:
    """What a model says of these rows of a split; None for none, or where it says nothing of the part."""
    answers = None if frame.is_empty() else model.predict(frame, part)
    if answers is None:
        return None
    labels = np.array([model.classes.index(label) for label in frame["label"]], dtype=np.int64)
    return Scores(answers.probabilities, labels, frame["group"].to_numpy(), model.classes), answers


def _by_training(runs: Sequence[Run], splits: Sequence[Split]) -> dict[str, Run]:
    found = {trained.record.split: trained for trained in runs}
    for split in splits:
        if split.training not in found:
            name = f"{split.protocol} {split.fold}".strip()
            raise RunError(f"{runs[0].folder}: was trained on another split than {name}; give its run, too")
    return found


def _result(rounds: Sequence[TestedModel], deployed: bool, earlier: EarlierEvaluations) -> ProtocolReport:
    """rounds: all of one protocol. A round is a model: nothing is ranked or binned over several."""
    *_, last = rounds
    pooled = Scores.join([one.scores for one in rounds])
    rows = pl.concat([one.rows for one in rounds], how="diagonal")
    said = [one.predictions for one in rounds]
    several = len(rounds) > 1
    result = evaluate_scores(pooled)
    calibrated = [one.calibrating_slices for one in rounds if one.predictions.calibrator]
    untested = find_untested(pooled, result, calibrated, temperatures(said))
    if earlier.models:
        untested = untested.model_copy(update={"notes": (*untested.notes, str(earlier))})
    return ProtocolReport(
        **dict(result),
        **dict(untested),
        description=last.split.description,
        leaky=PROTOCOLS[last.split.protocol].leaky,
        deployed=deployed and not several,
        earlier_evaluations=earlier,
        reliability=tuple(reliability(pooled)),
        folds=_folds(rounds) if several else None,
        subgroups=evaluate_subgroups(pooled, {name: rows[name].to_list() for name in SUBGROUP_COLUMNS}),
        operating=operating_points(pooled, None if several else last.validation_scores),
        curves=evaluate_curves(pooled),
        studies=evaluate_studies(pooled, rows["study"].to_list(), outlier_scores=outlier_scores(said)),
        calibration=calibration(pooled, said),
        sets=prediction_sets(pooled, said),
        verdicts=verdicts(pooled, said),
        validation=tuple(
            FoldValidation(fold=one.split.fold, **dict(one.validation.facts))
            for one in rounds
            if not one.external
        ),
    )


def _folds(rounds: Sequence[TestedModel]) -> Folds:
    """Numbers of each fold and, where folds were drawn several times, of each repeat."""
    drawings: dict[int, list[Scores]] = {}
    for one in rounds:
        drawings.setdefault(one.split.seed, []).append(one.scores)
    repeats = {f"repeat {n}": Scores.join(parts) for n, parts in enumerate(drawings.values(), start=1)}
    return Folds(
        **dict(summarise_folds({one.split.fold: one.scores for one in rounds})),
        repeats=summarise_folds(repeats) if 1 < len(repeats) < len(rounds) else None,
    )


def _report(
    model: EvaluatedModel,
    first: TestedModel,
    catalog: Catalog,
    protocols: dict[str, ProtocolReport],
    audit: Audit | None,
) -> Report:
    """All but the mistakes. first: what the headline is of."""
    split, facts = first.split, model.facts()
    sources = catalog.frame["source"].unique().sort().to_list()
    return Report(
        title=f"{model.name} on {', '.join(sources)}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        protocols=protocols,
        sources=_counts(catalog.frame, "source", sources),
        subsets=_counts(split.frame, "part", list(SUBSETS)),
        unreadable=dict(catalog.excluded["reason"].value_counts().sort("reason").rows()),
        audit=None if audit is None else audit.facts.verdict,
        overlaps=() if audit is None else tuple(audit.facts.between_sources),
        decisions=split.decisions,
        origins=_origins(catalog.frame),
        foreign=model.external,
        recipe=facts.recipe,
        run=facts.run,
        model=facts.model,
        curves=facts.curves,
        chosen_epoch=facts.chosen_epoch,
        leak=find_leak(facts.curves, facts.chosen_epoch),
    )


def _origins(frame: pl.DataFrame) -> dict[str, Origin]:
    """What is known of sources that `fetch` brought, as long as their folders are there."""
    folders = frame.select("root", "source").unique().sort(pl.all())
    found = {name: origin(Path(root) / name) for root, name in folders.iter_rows()}
    return {name: known for name, known in found.items() if known}


def _counts(frame: pl.DataFrame, column: str, names: list[str]) -> tuple[ClassCounts, ...]:
    counts = []
    for name in names:
        rows = frame.filter(pl.col(column) == name)
        groups = rows["group"].n_unique() if column == "part" else None
        slices = dict(rows["label"].value_counts().sort("label").rows())
        counts.append(ClassCounts.of(name, slices, groups))
    return tuple(counts)
