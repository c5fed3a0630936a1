"""The verbs in a row. The only place that knows both halves."""

import json
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
from gliascope.data.catalog import Catalog
from gliascope.data.scan import scan
from gliascope.data.split import PARTS, PROTOCOLS, Split, split
from gliascope.data.store import Store, store
from gliascope.errors import RunError
from gliascope.evaluation.card import model_card
from gliascope.evaluation.metrics import accepted, confident_mistakes, evaluate_scores, reliability
from gliascope.evaluation.report import Counts, Mistake, ProtocolResult, ReportData, write_report
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.overlay import overlay
from gliascope.progress import note, progress
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.run import Run

BATCH = 32
MISTAKES = 12
# Share of correctly classified validation slices that are to be accepted.
ACCEPTANCE = 0.95
DEMO_PER_CLASS = 200
DEMO_OVERRIDES = ("stages.0.epochs=6",)


def run(
    sources: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    protocol: str = "official",
    labels: Path | None = None,
    groups: Path | None = None,
    seed: int = 0,
) -> None:
    """Scan, split, store, train, evaluate and bundle into `folder`.

    After an interruption the same call goes on: stores, activations and epochs that are done are found.
    Raises GliascopeError for whatever the verbs cannot do.
    """
    catalog = scan(sources, labels, groups)
    catalog.write(folder / "catalog.parquet")
    if catalog.rejects.height:
        note(f"{catalog.rejects.height} files set aside, see {folder / 'rejects.parquet'}")
    parts = split(catalog, protocol, seed)
    parts.write(folder / "split.parquet")
    trained = train(recipe, catalog, parts, folder / "run", resume=True)
    evaluate(trained, catalog, parts, folder)
    bundle(trained, folder / "report.json", folder / "bundle")


def demo(folder: Path) -> None:
    """Run `quick`, with fewer epochs, on phantoms made for the purpose."""
    from gliascope.data.phantom import write_phantoms

    phantoms = folder / "phantoms"
    if not phantoms.exists():
        write_phantoms(phantoms, DEMO_PER_CLASS)
    recipe = load_recipe("quick", DEMO_OVERRIDES)
    run([phantoms], folder, recipe, groups=phantoms / "groups.csv")


def train(recipe: Recipe, catalog: Catalog, parts: Split, folder: Path, resume: bool = False) -> Run:
    """Build the store and train `recipe` on it, in a process set up for it. Raises as `training.run.train`."""
    from gliascope.training.environment import keep_freed_memory

    keep_freed_memory()
    from gliascope.training.run import train as train_run

    return train_run(recipe, parts, store(catalog.frame, recipe.preprocessing), folder, resume)


def evaluate(trained: Run, catalog: Catalog, parts: Split, folder: Path) -> None:
    """Score the exported model on validation and test parts; write report.json and report.html.

    Raises RunError where the run is unfinished or was trained on another split.
    """
    if trained.record.results is None:
        raise RunError(f"{trained.folder}: training has not finished; run `gliascope train … --resume`")
    if trained.record.split != parts.fingerprint:
        raise RunError(f"{trained.folder}: was trained on another split than the one given")
    model = Bundle.load(trained.model)
    images = store(catalog.frame, model.info.preprocessing)
    engine = Engine(model)
    validation = _scores(parts, "val", _outputs(engine, images, parts, "val"))
    threshold = float(np.quantile(validation.confidences[validation.correct], 1 - ACCEPTANCE))
    outputs = _outputs(engine, images, parts, "test")
    test = _scores(parts, "test", outputs)
    protocol = ProtocolResult(
        PROTOCOLS[parts.protocol].description,
        evaluate_scores(test),
        reliability(test),
        accepted(test, threshold),
    )
    history = trained.history()
    report = ReportData(
        title=f"{trained.recipe.name} on {', '.join(sorted(catalog.frame['source'].unique()))}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocols={parts.protocol: protocol},
        sources=_counts(catalog.frame, "source", catalog.frame["source"].unique().sort().to_list()),
        parts=_counts(parts.frame, "part", list(PARTS)),
        curves=[row | {"epoch": number} for number, row in enumerate(history, start=1)],
        chosen_epoch=trained.record.results.best + 1,
        mistakes=_mistakes(parts, images, test, outputs),
        rejects=dict(catalog.rejects["reason"].value_counts().sort("reason").rows()),
        recipe=yaml.safe_dump(trained.recipe.model_dump(mode="json"), sort_keys=False),
        run=trained.record.model_dump(mode="json", exclude={"results"})
        | {"seconds": trained.record.results.seconds, "seed": trained.recipe.seed},
        model={
            "parameters": trained.record.results.parameters,
            "trained parameters": trained.record.results.trained_parameters,
            "ONNX bytes": len(model.model),
            "confidence threshold": threshold,
        },
    )
    write_report(folder, report)


def bundle(trained: Run, report: Path, folder: Path) -> None:
    """Join the exported model with its report's numbers and a model card.

    Raises RunError where the run or the report is missing or damaged.
    """
    model = Bundle.load(trained.model)
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        threshold = float(content["model"]["confidence threshold"])
        metrics = {name: _headline(result) for name, result in content["protocols"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{report}: not a report ({error}); make one with `gliascope evaluate`") from None
    info = model.info.model_copy(update={"confidence_threshold": threshold, "metrics": metrics})
    Bundle(info, model.model).write(folder, model_card(info.model_dump(mode="json"), content))


def _headline(result: dict[str, object]) -> dict[str, object]:
    return {key: result[key] for key in ("n", "accuracy", "balanced_accuracy", "macro_auroc", "ece", "brier")}


def _outputs(engine: Engine, images: Store, parts: Split, name: str) -> Outputs:
    rows = images.rows(parts.part(name)["pixel_hash"])
    batches = []
    with progress(f"score {name}", len(rows)) as advance:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            batches.append(engine(images.pixels[batch]))
            advance(len(batch))
    maps = [batch.maps for batch in batches if batch.maps is not None]
    return Outputs(
        np.concatenate([batch.logits for batch in batches]),
        np.concatenate([batch.features for batch in batches]),
        np.concatenate(maps) if maps else None,
    )


def _scores(parts: Split, name: str, outputs: Outputs) -> Scores:
    return Scores(
        outputs.probabilities, parts.class_numbers(name), parts.part(name)["group"].to_numpy(), parts.classes
    )


def _mistakes(parts: Split, images: Store, test: Scores, outputs: Outputs) -> list[Mistake]:
    frame = parts.part("test")
    rows = images.rows(frame["pixel_hash"])
    found = []
    for number in confident_mistakes(test, MISTAKES).tolist():
        pixels, predicted = images.pixels[rows[number]], int(test.predictions[number])
        found.append(
            Mistake(
                file=frame["path"][number],
                label=test.classes[int(test.labels[number])],
                predicted=test.classes[predicted],
                probability=float(test.confidences[number]),
                image=_png(pixels),
                overlay=None
                if outputs.maps is None
                else _overlay_png(pixels, outputs.maps[number, predicted]),
            )
        )
    return found


def _overlay_png(pixels: NDArray[np.uint8], activation: NDArray[np.float32]) -> bytes:
    return _png(np.asarray(overlay(pixels, activation)))


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
