"""predictions.parquet: the probabilities of every test slice, beside the report."""

from pathlib import Path

import polars as pl

from gliascope.dataset.catalog import Catalog, read_table, write_table
from gliascope.dataset.studies import study_keys
from gliascope.evaluation.scores import Scores
from gliascope.splits.split import Split

PREDICTIONS_FILE = "predictions.parquet"
SLICE_KEY = ["fold_name", "path", "index", "pixel_hash"]  # identifies a row within one protocol
SUBGROUP_COLUMNS = [
    "source",
    "modality",
    "plane",
    "format",
]  # the report has figures for each of their values
COLUMNS = [
    "protocol", "fold_name", "path", "index", *SUBGROUP_COLUMNS, "study", "pixel_hash", "group", "label",
]  # fmt: skip
PROBABILITY_PREFIX = "p_"


def prediction_rows(split: Split, catalog: Catalog, scores: Scores) -> pl.DataFrame:
    """Return a row for each test slice of a split, in its order.

    Parameters
    ----------
    split
        The split whose test slices were scored.
    catalog
        The catalogue of the split.
    scores
        The probabilities, in the order of the test slices.

    Returns
    -------
    polars.DataFrame
        COLUMNS, and one column of probabilities for each class.
    """
    columns = [
        pl.Series(PROBABILITY_PREFIX + name, scores.probabilities[:, number])
        for number, name in enumerate(scores.classes)
    ]
    key = ["source", "path", "index"]
    studies = study_keys(catalog.frame)
    known = catalog.frame.select(key + SUBGROUP_COLUMNS[1:]).with_columns(studies).unique(key)
    test = split.subset("test").join(known, on=key, how="left", maintain_order="left")
    return test.select(COLUMNS).with_columns(columns)


def write_predictions(rows: pl.DataFrame, folder: Path) -> None:
    """Write the rows of all protocols and folds into one file, atomically."""
    write_table(rows, folder / PREDICTIONS_FILE)


def load_predictions(path: Path) -> pl.DataFrame:
    """Read predictions.parquet: the file, or the one in a folder of results.

    Raises GliascopeError if the file is missing or is not such a table.
    """
    return read_table(path / PREDICTIONS_FILE if path.is_dir() else path, COLUMNS, "evaluate")


def to_scores(frame: pl.DataFrame) -> Scores:
    """Convert the rows of one protocol to Scores, a model for each fold. Raises ValueError if damaged."""
    columns = [
        name
        for name in frame.columns
        if name.startswith(PROBABILITY_PREFIX) and not frame[name].is_null().all()
    ]
    classes = tuple(name.removeprefix(PROBABILITY_PREFIX) for name in columns)
    labels = frame["label"].replace_strict(
        list(classes), range(len(classes)), default=-1, return_dtype=pl.Int64
    )
    groups, models = frame["group"].to_numpy(), frame["fold_name"].to_numpy()
    return Scores(frame.select(columns).to_numpy(), labels.to_numpy(), groups, classes, models)
