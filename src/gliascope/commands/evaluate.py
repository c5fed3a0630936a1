"""Score trained models on the test slices of their splits and write the report."""

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
from gliascope.download import read_origin
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
from gliascope.splits.protocols import NO_TEST_FOLDER_NOTE, PROTOCOLS, has_test_folder
from gliascope.splits.split import SUBSETS, Split
from gliascope.splits.validation import DividedValidation, divide_validation
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
    """Score exported models on validation and test slices; write report.json and report.html.

    The folder also gets predictions.parquet, confusion.png, curves.png, predictions.png, and ledger.jsonl
    with a line for each evaluation of a test subset.

    Parameters
    ----------
    runs
        Finished runs. Each split is scored by the run that was trained on its training subset.
    catalog
        The catalogue of the splits.
    splits
        Splits with the labels of the runs' task, holding only slices that `images` holds. The first one gives
        the headline of the report.
    images
        The slices under the preprocessing of the first run. Runs with another preprocessing get their own
        store.
    folder
        Where the report is written.
    audit
        The audit of the catalogue, which the report summarises.

    Raises
    ------
    RunError
        If a run is unfinished, or no run was trained on one of the splits.
    """
    check_writable(folder)
    for trained in runs:
        trained.check_finished()
    models = _models(runs, catalog, splits, images)
    evaluate_models(models, catalog, splits, folder=folder, audit=audit)


def evaluate_models(
    models: Iterable[tuple[EvaluatedModel, Sequence[Split]]],
    catalog: Catalog,
    splits: Sequence[Split],
    *,
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """Score any models, trained here or elsewhere, and write the report as `evaluate` does.

    Parameters
    ----------
    models
        Each model with those of `splits` that it is scored on.
    catalog
        The catalogue of the splits.
    splits
        Splits whose labels are among the classes of each model. The first one gives the headline.
    folder
        Where the report is written.
    audit
        The audit of the catalogue, which the report summarises.
    """
    tested: list[TestedModel] = []
    headline: tuple[EvaluatedModel, TestedModel] | None = None
    for model, own_splits in models:
        for split in own_splits:
            tested.append(_test(model, split, catalog))
            if split is splits[0]:
                headline = model, tested[-1]
    assert headline is not None  # noqa: S101 (the first split has a model)
    earlier = record(folder, [entry for one in tested for entry in one.ledger_entries])
    protocols = {}
    for name in dict.fromkeys(split.protocol for split in splits):
        folds = [one for one in tested if one.split.protocol == name]
        deployed = any(one.split.training_hash == splits[0].training_hash for one in folds)
        protocols[name] = _protocol_report(folds, deployed, earlier[name])
    if "grouped" in protocols and not has_test_folder(catalog.frame):
        grouped = protocols["grouped"]
        described = f"{grouped.description} {NO_TEST_FOLDER_NOTE}"
        protocols["grouped"] = grouped.model_copy(update={"description": described})
    model, first = headline
    mistakes = mistakes_with_pictures(first.split, model, first.scores, first.predictions)
    report = _report(model, first, catalog, protocols=protocols, audit=audit).model_copy(
        update={"mistakes": tuple(mistake for mistake, _ in mistakes)}
    )
    write_predictions(pl.concat([one.rows for one in tested], how="diagonal"), folder)
    examples = random_examples(first.split, model, first.scores, report.run.seed if report.run else 0)
    write_figures(folder, report, examples)
    write_report(folder, report, [picture for _, picture in mistakes])


@dataclass(frozen=True, slots=True)
class TestedModel:
    """A model with its predictions for the test slices of one split.

    Parameters
    ----------
    split
        The split whose test slices are scored.
    scores
        Probabilities and labels of the test slices.
    predictions
        What the model returned for the test slices.
    rows
        The rows of predictions.parquet.
    validation
        Which validation slices chose an epoch or a setting, and which ones calibrate.
    validation_scores
        Probabilities and labels of the calibrating slices, on which thresholds are chosen, too; None if there
        are no such slices.
    ledger_entries
        Lines for the ledger of test subsets.
    external
        Whether the model was trained elsewhere.
    """

    split: Split
    scores: Scores
    predictions: ModelPredictions
    rows: pl.DataFrame
    validation: DividedValidation
    validation_scores: Scores | None
    ledger_entries: Sequence[LedgerEntry]
    external: bool

    @property
    def calibrating_slices(self) -> dict[str, int]:
        """Number of calibrating slices by class."""
        return dict(self.validation.calibrating["label"].value_counts().rows())


def _test(model: EvaluatedModel, split: Split, catalog: Catalog) -> TestedModel:
    validation = divide_validation(split.frame, model.is_validation_chosen)
    validation_result = _score(model, validation.calibrating, "val")
    test_result = _score(model, split.subset("test"), "test")
    assert test_result is not None  # noqa: S101 (None is for validation only)
    scores, predictions = test_result
    return TestedModel(
        split,
        scores,
        predictions,
        prediction_rows(split, catalog, scores),
        validation,
        validation_result and validation_result[0],
        ledger_entries(model, split),
        model.external,
    )


def _models(
    runs: Sequence[Run], catalog: Catalog, splits: Sequence[Split], images: Store
) -> Iterator[tuple[EvaluatedModel, list[Split]]]:
    """Yield each run that one of the splits needs, with its splits; only one model is in memory at a time."""
    for training, trained in _by_training(runs, splits).items():
        own_splits = [split for split in splits if split.training_hash == training]
        if own_splits:
            bundle = Bundle.load(trained.model)
            if not images.has_same_pixels(bundle.info.preprocessing):
                images = store(catalog.frame, bundle.info.preprocessing)
            yield RunModel(trained, bundle, images), own_splits


def _score(model: EvaluatedModel, frame: pl.DataFrame, subset: str) -> tuple[Scores, ModelPredictions] | None:
    """Predict rows of a split; None if there are no rows, or the model has no predictions for them."""
    predictions = None if frame.is_empty() else model.predict(frame, subset)
    if predictions is None:
        return None
    labels = np.array([model.classes.index(label) for label in frame["label"]], dtype=np.int64)
    scores = Scores(predictions.probabilities, labels, frame["group"].to_numpy(), model.classes)
    return scores, predictions


def _by_training(runs: Sequence[Run], splits: Sequence[Split]) -> dict[str, Run]:
    """Map the training hash of a split to its run. Raises RunError if a split has no run."""
    by_training = {trained.record.split: trained for trained in runs}
    for split in splits:
        if split.training_hash not in by_training:
            name = f"{split.protocol} {split.fold_name}".strip()
            raise RunError(
                f"{runs[0].folder}: was trained on another split than {name}; name the run of {name}, too"
            )
    return by_training


def _protocol_report(
    folds: Sequence[TestedModel], deployed: bool, earlier: EarlierEvaluations
) -> ProtocolReport:
    """Compute all figures of one protocol from its folds.

    Each fold has a model of its own, so nothing is ranked or binned over several folds.
    """
    *_, last = folds
    pooled = Scores.join([one.scores for one in folds])
    rows = pl.concat([one.rows for one in folds], how="diagonal")
    predictions = [one.predictions for one in folds]
    several = len(folds) > 1
    result = evaluate_scores(pooled)
    calibrated = [one.calibrating_slices for one in folds if one.predictions.calibrator]
    untested = find_untested(pooled, result, calibrated, temperatures(predictions))
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
        folds=_folds(folds) if several else None,
        subgroups=evaluate_subgroups(pooled, {name: rows[name].to_list() for name in SUBGROUP_COLUMNS}),
        operating=operating_points(pooled, None if several else last.validation_scores),
        curves=evaluate_curves(pooled),
        studies=evaluate_studies(pooled, rows["study"].to_list(), outlier_scores=outlier_scores(predictions)),
        calibration=calibration(pooled, predictions),
        sets=prediction_sets(pooled, predictions),
        verdicts=verdicts(pooled, predictions),
        validation=tuple(
            FoldValidation(fold=one.split.fold_name, **dict(one.validation.counts))
            for one in folds
            if not one.external
        ),
    )


def _folds(folds: Sequence[TestedModel]) -> Folds:
    """Summarise the folds and, if folds were drawn several times, the repeats."""
    by_seed: dict[int, list[Scores]] = {}
    for one in folds:
        by_seed.setdefault(one.split.seed, []).append(one.scores)
    repeats = {f"repeat {n}": Scores.join(scores) for n, scores in enumerate(by_seed.values(), start=1)}
    return Folds(
        **dict(summarise_folds({one.split.fold_name: one.scores for one in folds})),
        repeats=summarise_folds(repeats) if 1 < len(repeats) < len(folds) else None,
    )


def _report(
    model: EvaluatedModel,
    first: TestedModel,
    catalog: Catalog,
    *,
    protocols: dict[str, ProtocolReport],
    audit: Audit | None,
) -> Report:
    """Return the report without its mistakes; `first` is the model and split of the headline."""
    split, facts = first.split, model.facts()
    sources = catalog.frame["source"].unique().sort().to_list()
    return Report(
        title=f"{model.name} on {', '.join(sources)}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        protocols=protocols,
        sources=_counts(catalog.frame, "source", sources),
        subsets=_counts(split.frame, "subset", list(SUBSETS)),
        unreadable=dict(catalog.excluded["reason"].value_counts().sort("reason").rows()),
        audit=None if audit is None else audit.facts.verdict,
        overlaps=() if audit is None else tuple(audit.facts.between_sources),
        decisions=split.decisions,
        origins=_origins(catalog.frame),
        external=model.external,
        recipe=facts.recipe,
        run=facts.run,
        model=facts.model,
        curves=facts.curves,
        chosen_epoch=facts.chosen_epoch,
        leak=find_leak(facts.curves, facts.chosen_epoch),
    )


def _origins(frame: pl.DataFrame) -> dict[str, Origin]:
    """Return title, licence and home of sources that `fetch` downloaded, if their folders still exist."""
    folders = frame.select("root", "source").unique().sort(pl.all())
    origins = {name: read_origin(Path(root) / name) for root, name in folders.iter_rows()}
    return {name: known for name, known in origins.items() if known}


def _counts(frame: pl.DataFrame, column: str, names: list[str]) -> tuple[ClassCounts, ...]:
    counts = []
    for name in names:
        rows = frame.filter(pl.col(column) == name)
        groups = rows["group"].n_unique() if column == "subset" else None
        slices = dict(rows["label"].value_counts().sort("label").rows())
        counts.append(ClassCounts.of(name, slices, groups))
    return tuple(counts)
