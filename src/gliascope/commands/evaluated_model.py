"""The interface of a model that `evaluate` scores, and its implementation for runs trained here."""

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
    """Predictions of a model for n slices.

    Parameters
    ----------
    probabilities
        float64 (n, classes), calibrated if the model has a calibrator.
    outputs
        Raw outputs of the network; None for a model that was trained elsewhere.
    calibrator
        The calibrator of the model, if it has one.
    map_box
        The box, in pixels of the model's `pictures`, that its activation maps cover.
    """

    probabilities: NDArray[np.float64]
    outputs: Outputs | None = None
    calibrator: Calibrator | None = None
    map_box: Box | None = None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """Facts of a model for the report; all fields but `model` stay empty for a model trained elsewhere."""

    model: TrainedModel | OnnxModel | PredictionTable
    run: RunFacts | None = None
    recipe: str = ""
    curves: tuple[EpochMetrics, ...] = ()
    chosen_epoch: int | None = None


class EvaluatedModel(Protocol):
    """A model that gives a probability for each class to slices of a catalogue.

    Attributes
    ----------
    name
        Name for the title of the report.
    classes
        Names of the classes, in the order of every probability vector.
    external
        Whether the model was trained elsewhere, so that its training slices are not known.
    is_validation_chosen
        Whether validation slices are known to have chosen an epoch or a setting of the model.
    """

    name: str
    classes: tuple[str, ...]
    external: bool
    is_validation_chosen: bool

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions | None:
        """Predict rows of a split; None if the model has no predictions for its validation slices."""

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """Return the slices as the model receives them or, if that is unknown, as their files hold them."""

    def facts(self) -> ModelReport:
        """Return what the report says about the model."""


class CachedOutputs:
    """Outputs of a network for rows of a store; computed once for each row, as protocols share slices."""

    def __init__(self, images: Store, graph: "GraphFunction") -> None:
        self.images = images
        self.graph = graph
        self.rows = np.empty(0, dtype=np.int64)  # sorted
        self.outputs: Outputs | None = None

    def __call__(self, frame: pl.DataFrame, subset: str) -> Outputs:
        """Return the outputs for rows of a split, in their order; the progress bar shows `subset`."""
        rows = self.images.rows(frame["pixel_hash"])
        new = np.setdiff1d(rows, self.rows)
        if len(new):
            known = [] if self.outputs is None else [self.outputs]
            order = np.argsort(np.concatenate([self.rows, new]))
            self.outputs = Outputs.concatenate([*known, *self._run(new, subset)]).select(order)
            self.rows = np.union1d(self.rows, new)
        assert self.outputs is not None  # noqa: S101 (`frame` is not empty)
        return self.outputs.select(np.searchsorted(self.rows, rows))

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """Return the slices as the store holds them."""
        return list(self.images.pixels[self.images.rows(frame["pixel_hash"])])

    def _run(self, rows: NDArray[np.int64], subset: str) -> list[Outputs]:
        batches = []
        with progress(f"score {subset}", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                batches.append(self.graph(self.images.pixels[batch]))
                advance(len(batch))
        return batches


class GraphFunction(Protocol):
    """A function from preprocessed slices, uint8 (n, size, size[, 3]), to Outputs."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run one batch."""


class RunModel:
    """The exported model of a finished run, applied to a store under the run's preprocessing."""

    external = False

    def __init__(self, trained: Run, bundle: Bundle, images: Store) -> None:
        self.trained, self.bundle = trained, bundle
        self.name, self.is_validation_chosen = trained.recipe.name, trained.selects_on_validation
        self.classes, self.calibrator = bundle.info.classes, bundle.calibrator
        self.cached_outputs = CachedOutputs(images, Engine(bundle))

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions:
        """Predict rows of a split."""
        outputs = self.cached_outputs(frame, subset)
        calibrated = self.calibrator.calibrated(outputs.logits) if self.calibrator else outputs.probabilities
        return ModelPredictions(
            calibrated, outputs, self.calibrator, self.bundle.info.preprocessing.stored_box
        )

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """Return the slices as the store holds them."""
        return self.cached_outputs.pictures(frame)

    def facts(self) -> ModelReport:
        """Return record, recipe and training curves of the run."""
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
            chosen_epoch=None if results.chosen_row is None else results.chosen_row + 1,
        )
