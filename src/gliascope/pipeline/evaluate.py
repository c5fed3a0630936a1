"""Run + Split in, Report out."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from PIL import Image

from gliascope import __version__
from gliascope.data.catalog import Catalog
from gliascope.data.split import PARTS, PROTOCOLS, Split
from gliascope.data.store import Store, store
from gliascope.errors import RunError
from gliascope.evaluation.metrics import (
    accepted,
    confidence_threshold,
    confident_mistakes,
    evaluate_scores,
    reliability,
)
from gliascope.evaluation.report import Counts, Mistake, ProtocolResult, ReportData, write_report
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.overlay import overlay
from gliascope.progress import progress
from gliascope.recipes.run import Run

BATCH = 32
MISTAKES = 12


def evaluate(trained: Run, catalog: Catalog, parts: Split, folder: Path) -> None:
    """Score the exported model on validation and test parts; write report.json and report.html.

    Raises RunError where the run is unfinished or was trained on another split.
    """
    trained.check_finished()
    if trained.record.split != parts.fingerprint:
        raise RunError(f"{trained.folder}: was trained on another split than the one given")
    model = Bundle.load(trained.model)
    images = store(catalog.frame, model.info.preprocessing)
    engine = Engine(model)
    validation = _scores(parts, "val", _outputs(engine, images, parts, "val"))
    threshold = confidence_threshold(validation)
    outputs = _outputs(engine, images, parts, "test")
    test = _scores(parts, "test", outputs)
    protocol = ProtocolResult(
        PROTOCOLS[parts.protocol].description,
        evaluate_scores(test),
        reliability(test),
        accepted(test, threshold),
    )
    mistakes = _mistakes(parts, images, test, outputs)
    facts: dict[str, float | int | str] = {
        "confidence_threshold": threshold,
        "onnx_bytes": len(model.model),
        "sha256": model.info.model_sha256,
    }
    write_report(folder, _report(trained, catalog, parts, protocol, mistakes, facts))


def _report(
    trained: Run,
    catalog: Catalog,
    parts: Split,
    protocol: ProtocolResult,
    mistakes: list[Mistake],
    facts: dict[str, float | int | str],
) -> ReportData:
    sources = catalog.frame["source"].unique().sort().to_list()
    record = trained.record.model_dump(mode="json")
    results = record.pop("results")
    return ReportData(
        title=f"{trained.recipe.name} on {', '.join(sources)}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocols={parts.protocol: protocol},
        sources=_counts(catalog.frame, "source", sources),
        parts=_counts(parts.frame, "part", list(PARTS)),
        curves=[row | {"epoch": number} for number, row in enumerate(trained.history(), start=1)],
        chosen_epoch=results.pop("best") + 1,
        mistakes=mistakes,
        rejects=dict(catalog.rejects["reason"].value_counts().sort("reason").rows()),
        recipe=yaml.safe_dump(trained.recipe.model_dump(mode="json"), sort_keys=False),
        run=record | {"seed": trained.recipe.seed, "deterministic": trained.recipe.deterministic},
        model=results | facts,
    )


def _outputs(engine: Engine, images: Store, parts: Split, name: str) -> Outputs:
    rows = images.rows(parts.part(name)["pixel_hash"])
    batches = []
    with progress(f"score {name}", len(rows)) as advance:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            batches.append(engine(images.pixels[batch]))
            advance(len(batch))
    return Outputs.join(batches)


def _scores(parts: Split, name: str, outputs: Outputs) -> Scores:
    groups = parts.part(name)["group"].to_numpy()
    return Scores(outputs.probabilities, parts.class_numbers(name), groups, parts.classes)


def _mistakes(parts: Split, images: Store, test: Scores, outputs: Outputs) -> list[Mistake]:
    frame = parts.part("test")
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
