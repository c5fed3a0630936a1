"""Runs + Splits in, Report out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from PIL import Image

from gliascope import __version__
from gliascope.data.audit import Audit
from gliascope.data.catalog import Catalog
from gliascope.data.protocols import PROTOCOLS
from gliascope.data.split import PARTS, Split
from gliascope.data.store import Store, store
from gliascope.errors import RunError
from gliascope.evaluation.metrics import (
    accepted,
    confidence_threshold,
    confident_mistakes,
    evaluate_scores,
    reliability,
    summarise_rounds,
)
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.subgroups import evaluate_subgroups
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.overlay import overlay
from gliascope.pages.plots import Shown
from gliascope.pages.report import Counts, Mistake, ProtocolResult, ReportData, write_report
from gliascope.pipeline.figures import write_figures
from gliascope.pipeline.predictions import KNOWN, tested, write_predictions
from gliascope.progress import progress
from gliascope.recipes.run import Run

BATCH = 32
MISTAKES = 12
DRAWN = 24


class _Model:
    """A run's exported model and what it says about the test slices of every split it serves."""

    def __init__(self, trained: Run, catalog: Catalog, splits: Sequence[Split]) -> None:
        trained.check_finished()
        self.trained = trained
        self.bundle = Bundle.load(trained.model)
        self.images = store(catalog.frame, self.bundle.info.preprocessing)
        self.engine = Engine(self.bundle)
        self.validation = self._scores(splits[0], "val", self._outputs(self._rows(splits[0], "val"), "val"))
        self.threshold = confidence_threshold(self.validation)
        self.tested = np.unique(np.concatenate([self._rows(split, "test") for split in splits]))
        self.outputs = self._outputs(self.tested, "test")

    def test(self, split: Split) -> tuple[Scores, Outputs]:
        """Scores and outputs of the split's test slices, in its order."""
        outputs = self.outputs.at(np.searchsorted(self.tested, self._rows(split, "test")))
        return self._scores(split, "test", outputs), outputs

    def _rows(self, split: Split, part: str) -> NDArray[np.int64]:
        return self.images.rows(split.part(part)["pixel_hash"])

    def _outputs(self, rows: NDArray[np.int64], part: str) -> Outputs:
        batches = []
        with progress(f"score {part}", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                batches.append(self.engine(self.images.pixels[batch]))
                advance(len(batch))
        return Outputs.join(batches)

    def _scores(self, split: Split, part: str, outputs: Outputs) -> Scores:
        groups = split.part(part)["group"].to_numpy()
        return Scores(outputs.probabilities, split.class_numbers(part), groups, split.classes)


def evaluate(
    runs: Sequence[Run], catalog: Catalog, splits: Sequence[Split], folder: Path, audit: Audit | None = None
) -> None:
    """Score exported models on validation and test parts; write report.json and report.html.

    Beside them go predictions.parquet, confusion.png, curves.png and predictions.png. Each split is scored
    by the run that was trained on its training part. Raises RunError where there is none, or it is
    unfinished.
    """
    splits = [split.for_task(runs[0].recipe.task) for split in splits]
    results: dict[str, list[tuple[Scores, str]]] = {}
    headline: tuple[_Model, Scores, Outputs] | None = None
    predicted: list[pl.DataFrame] = []
    thresholds: dict[str, float] = {}
    for training, trained in _by_training(runs, splits).items():
        served = [split for split in splits if split.training == training]
        if not served:
            continue
        model = _Model(trained, catalog, served)
        for split in served:
            scores, outputs = model.test(split)
            results.setdefault(split.protocol, []).append((scores, split.round))
            predicted.append(tested(split, catalog, scores))
            thresholds[split.protocol] = model.threshold
            if split is splits[0]:
                headline = model, scores, outputs
    assert headline is not None  # noqa: S101 (the first split has a run)
    deployed = {split.protocol for split in splits if split.training == splits[0].training}
    rows = pl.concat(predicted, how="diagonal")
    protocols = {
        name: _result(split, results[name], rows.filter(protocol=name), thresholds[name], name in deployed)
        for name, split in {split.protocol: split for split in splits}.items()
    }
    model, scores, outputs = headline
    mistakes = _mistakes(splits[0], model.images, scores, outputs)
    report = _report(model, catalog, splits[0], protocols, mistakes, audit)
    write_predictions(rows, folder)
    write_figures(folder, report, _drawn(splits[0], model, scores))
    write_report(folder, report)


def _by_training(runs: Sequence[Run], splits: Sequence[Split]) -> dict[str, Run]:
    found = {trained.record.split: trained for trained in runs}
    for split in splits:
        if split.training not in found:
            name = f"{split.protocol} {split.round}".strip()
            raise RunError(f"{runs[0].folder}: was trained on another split than {name}; give its run, too")
    return found


def _result(
    split: Split, rounds: list[tuple[Scores, str]], rows: pl.DataFrame, threshold: float, deployed: bool
) -> ProtocolResult:
    """split: one round of a protocol; rounds: all, in the order of `rows`."""
    pooled = Scores.join([scores for scores, _ in rounds])
    several = len(rounds) > 1
    return ProtocolResult(
        split.description,
        evaluate_scores(pooled),
        reliability(pooled),
        # Every round has a threshold of its own.
        None if several else accepted(pooled, threshold),
        summarise_rounds({name: scores for scores, name in rounds}) if several else None,
        PROTOCOLS[split.protocol].leaky,
        deployed and not several,
        evaluate_subgroups(pooled, {name: rows[name].to_list() for name in KNOWN}),
    )


def _report(
    model: _Model,
    catalog: Catalog,
    split: Split,
    protocols: dict[str, ProtocolResult],
    mistakes: list[Mistake],
    audit: Audit | None,
) -> ReportData:
    sources = catalog.frame["source"].unique().sort().to_list()
    trained = model.trained
    record = trained.record.model_dump(mode="json")
    results = record.pop("results")
    run_facts = {"seed": trained.recipe.seed, "deterministic": trained.recipe.deterministic}
    return ReportData(
        title=f"{trained.recipe.name} on {', '.join(sources)}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocols=protocols,
        sources=_counts(catalog.frame, "source", sources),
        parts=_counts(split.frame, "part", list(PARTS)),
        curves=[row | {"epoch": number} for number, row in enumerate(trained.history(), start=1)],
        chosen_epoch=results.pop("chosen") + 1,
        mistakes=mistakes,
        rejects=dict(catalog.rejects["reason"].value_counts().sort("reason").rows()),
        recipe=yaml.safe_dump(trained.recipe.model_dump(mode="json"), sort_keys=False),
        run=record | run_facts,
        model=results
        | {
            "confidence_threshold": model.threshold,
            "onnx_bytes": len(model.bundle.model),
            "sha256": model.bundle.info.model_sha256,
        },
        audit=None if audit is None else audit.facts["verdict"],
        decisions=split.decisions,
    )


def _mistakes(split: Split, images: Store, test: Scores, outputs: Outputs) -> list[Mistake]:
    frame = split.part("test")
    rows = images.rows(frame["pixel_hash"])
    found = []
    for number in confident_mistakes(test, MISTAKES).tolist():
        pixels, predicted = images.pixels[rows[number]], int(test.predictions[number])
        map_ = None if outputs.maps is None else outputs.maps[number, predicted]
        found.append(
            Mistake(
                file=frame["path"][number],
                label=test.classes[int(test.labels[number])],
                predicted=test.classes[predicted],
                probability=float(test.confidences[number]),
                image=_png(pixels),
                overlay=None if map_ is None else _png(np.asarray(overlay(pixels, map_))),
            )
        )
    return found


def _drawn(split: Split, model: _Model, test: Scores) -> list[Shown]:
    """DRAWN test slices at random, as the store holds them."""
    rows = model.images.rows(split.part("test")["pixel_hash"])
    order = np.random.default_rng(model.trained.recipe.seed).permutation(len(rows))
    return [
        Shown(
            model.images.pixels[rows[number]],
            test.classes[int(test.labels[number])],
            test.classes[int(test.predictions[number])],
            float(test.confidences[number]),
        )
        for number in order[:DRAWN].tolist()
    ]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="png")
    return content.getvalue()


def _counts(frame: pl.DataFrame, column: str, names: list[str]) -> list[Counts]:
    counts = []
    for name in names:
        rows = frame.filter(pl.col(column) == name)
        groups = rows["group"].n_unique() if column == "part" else None
        counts.append(Counts(name, dict(rows["label"].value_counts().sort("label").rows()), groups))
    return counts
