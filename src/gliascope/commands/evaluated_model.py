"""A model under test, ours or anyone's: what `evaluate` asks of it, and ours."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.preprocessing.head import Box
from gliascope.recipes.run import EpochMetrics, Run
from gliascope.reports.model import OnnxModel, PredictionTable, RunFacts, TrainedModel
from gliascope.runtime.progress import progress
from gliascope.store.store import Store
from gliascope.uncertainty.calibrator import Calibrator

BATCH = 32


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """What a model says of n slices.

    probabilities: float64 (n, classes), calibrated where there is a Calibrator. outputs: of the graph, where
    the model is ours; square: what its maps cover of the model's `pictures`.
    """

    probabilities: NDArray[np.float64]
    outputs: Outputs | None = None
    calibrator: Calibrator | None = None
    map_box: Box | None = None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a report says of a model, as `Report` has it; all but `model` is of one that was trained here."""

    model: TrainedModel | OnnxModel | PredictionTable
    run: RunFacts | None = None
    recipe: str = ""
    curves: tuple[EpochMetrics, ...] = ()
    chosen_epoch: int | None = None


class EvaluatedModel(Protocol):
    """Whatever names a probability a class for slices of a catalogue.

    name: for the title of a report. classes: in the order of every probability vector.
    foreign: whether it was trained elsewhere, on slices that we do not know. chooses: whether validation
    slices chose anything of it, as far as we know.
    """

    name: str
    classes: tuple[str, ...]
    external: bool
    is_validation_chosen: bool

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions | None:
        """What it says of these rows of a split; None where it says nothing of this part (val)."""

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """These slices as the model gets them, or as their files hold them."""

    def facts(self) -> ModelReport:
        """What the report says of it."""


class CachedOutputs:
    """Runs a graph on rows of a store, each row once: protocols share test slices."""

    def __init__(self, images: Store, graph: "GraphFunction") -> None:
        self.images = images
        self.graph = graph
        self.rows = np.empty(0, dtype=np.int64)  # sorted
        self.outputs: Outputs | None = None

    def __call__(self, frame: pl.DataFrame, subset: str) -> Outputs:
        """Outputs for these rows of a split, in their order. `part` is shown beside the progress."""
        rows = self.images.rows(frame["pixel_hash"])
        new = np.setdiff1d(rows, self.rows)
        if len(new):
            known = [] if self.outputs is None else [self.outputs]
            order = np.argsort(np.concatenate([self.rows, new]))
            self.outputs = Outputs.join([*known, *self._run(new, subset)]).at(order)
            self.rows = np.union1d(self.rows, new)
        assert self.outputs is not None  # noqa: S101 (no part of a split is empty)
        return self.outputs.at(np.searchsorted(self.rows, rows))

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """These slices as the store holds them."""
        return list(self.images.pixels[self.images.rows(frame["pixel_hash"])])

    def _run(self, rows: NDArray[np.int64], part: str) -> list[Outputs]:
        batches = []
        with progress(f"score {part}", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                batches.append(self.graph(self.images.pixels[batch]))
                advance(len(batch))
        return batches


class GraphFunction(Protocol):
    """Preprocessed slices, uint8 (n, size, size[, 3]), to Outputs."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Answer one batch."""


class RunModel:
    """The exported model of a finished Run, on slices that are stored under its preprocessing."""

    external = False

    def __init__(self, trained: Run, bundle: Bundle, images: Store) -> None:
        self.trained, self.bundle = trained, bundle
        self.name, self.is_validation_chosen = trained.recipe.name, trained.is_validation_chosen
        self.classes, self.calibrator = bundle.info.classes, bundle.calibrator
        self.cached_outputs = CachedOutputs(images, Engine(bundle))

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions:
        """What it says of these rows of a split."""
        outputs = self.cached_outputs(frame, subset)
        calibrated = self.calibrator.calibrated(outputs.logits) if self.calibrator else outputs.probabilities
        return ModelPredictions(
            calibrated, outputs, self.calibrator, self.bundle.info.preprocessing.stored_box
        )

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """These slices as the store holds them."""
        return self.cached_outputs.pictures(frame)

    def facts(self) -> ModelReport:
        """The Run's record, recipe and curves."""
        trained, recipe = self.trained, self.trained.recipe
        results = trained.record.results
        assert results is not None  # noqa: S101 (it is finished)
        return ModelReport(
            model=TrainedModel(
                sha256=self.bundle.info.model_sha256,
                onnx_bytes=len(self.bundle.model),
                parameters=results.parameters,
                seconds=results.seconds,
                activation_maps=self.bundle.info.activation_maps,
                calibrator=None if self.calibrator is None else self.calibrator.info,
            ),
            run=RunFacts(
                **trained.record.model_dump(exclude={"results"}),
                seed=recipe.seed,
                deterministic=recipe.deterministic,
            ),
            recipe=yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False),
            curves=tuple(
                row.model_copy(update={"epoch": number})
                for number, row in enumerate(trained.history(), start=1)
            ),
            chosen_epoch=None if results.chosen is None else results.chosen + 1,
        )
