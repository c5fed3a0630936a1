"""Anyone's model under our protocols: its probabilities from a table, or its ONNX graph, run here."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gliascope.audit import Audit
from gliascope.commands.evaluate import evaluate_models
from gliascope.commands.external_models.class_mapping import map_classes
from gliascope.commands.external_models.onnx_model import EvaluatedOnnxModel, OnnxGraph, OnnxOptions
from gliascope.commands.external_models.prediction_table import EvaluatedTable, ProbabilityTable
from gliascope.dataset.catalog import Catalog
from gliascope.runtime.files import check_writable
from gliascope.splits.split import Split
from gliascope.store.store_splits import store_splits


def evaluate_predictions(
    file: Path, catalog: Catalog, splits: Sequence[Split], folder: Path, audit: Audit | None = None
) -> None:
    """Score a CSV of a model's probabilities as `evaluate` scores our own; see `table.Table`.

    Raises ExternalModelError for a CSV that is no such table, lacks a class, or lacks a slice that is tested.
    """
    check_writable(folder)
    table = ProbabilityTable.read(file, catalog)
    splits, merge = map_classes(list(table.columns), splits, file)
    evaluate_models([(EvaluatedTable(table, merge), splits)], catalog, splits, folder, audit)


def evaluate_onnx(
    file: Path,
    options: OnnxOptions,
    catalog: Catalog,
    splits: Sequence[Split],
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """Run an ONNX graph on the slices that validate and test, and score what it says as `evaluate` does.

    Raises ExternalModelError for a graph that cannot be run, or does not fit what is stated.
    """
    check_writable(folder)
    splits, merge = map_classes(options.classes, splits, file)
    graph = OnnxGraph(file, options)
    asked = pl.concat([split.frame.filter(pl.col("subset") != "train") for split in splits])
    used = catalog.frame.join(asked, on="pixel_hash", how="semi", maintain_order="left")
    images, splits = store_splits(used, splits, graph.preprocessing)
    evaluate_models([(EvaluatedOnnxModel(graph, merge, images), splits)], catalog, splits, folder, audit)
