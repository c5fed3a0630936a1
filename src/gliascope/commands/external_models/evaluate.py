"""Score models that were trained elsewhere: by a table of their probabilities, or by their ONNX file."""

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
    file: Path, catalog: Catalog, splits: Sequence[Split], folder: Path, *, audit: Audit | None = None
) -> None:
    """Score a CSV of predicted probabilities and write the report as `evaluate` does.

    Parameters
    ----------
    file
        The CSV, as `ProbabilityTable.read` reads it.
    catalog
        The catalogue of the splits.
    splits
        The splits whose test slices are scored.
    folder
        Where the report is written.
    audit
        The audit of the catalogue, which the report summarises.

    Raises
    ------
    ExternalModelError
        If the file is not such a table, or lacks a class or a test slice.
    """
    check_writable(folder)
    table = ProbabilityTable.read(file, catalog)
    splits, mapping = map_classes(list(table.columns), splits, file)
    models = [(EvaluatedTable(table, mapping), splits)]
    evaluate_models(models, catalog, splits, folder=folder, audit=audit)


def evaluate_onnx(
    file: Path,
    options: OnnxOptions,
    catalog: Catalog,
    splits: Sequence[Split],
    *,
    folder: Path,
    audit: Audit | None = None,
) -> None:
    """Run an ONNX model on validation and test slices and write the report as `evaluate` does.

    Parameters
    ----------
    file
        The ONNX file.
    options
        Classes, preprocessing and kind of output of the model.
    catalog
        The catalogue of the splits.
    splits
        The splits whose slices are predicted.
    folder
        Where the report is written.
    audit
        The audit of the catalogue, which the report summarises.

    Raises
    ------
    ExternalModelError
        If the model cannot be run, or does not fit the options.
    """
    check_writable(folder)
    splits, mapping = map_classes(options.classes, splits, file)
    graph = OnnxGraph(file, options)
    predicted = pl.concat([split.frame.filter(pl.col("subset") != "train") for split in splits])
    used = catalog.frame.join(predicted, on="pixel_hash", how="semi", maintain_order="left")
    images, splits = store_splits(used, splits, graph.preprocessing)
    models = [(EvaluatedOnnxModel(graph, mapping, images), splits)]
    evaluate_models(models, catalog, splits, folder=folder, audit=audit)
