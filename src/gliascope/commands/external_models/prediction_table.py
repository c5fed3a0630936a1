"""Predictions of an external model: a CSV with a row for each slice and a column for each class."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.classes import NO_TUMOR, TUMOR_KINDS, canonical_class
from gliascope.commands.evaluated_model import ModelPredictions, ModelReport
from gliascope.commands.external_models.class_mapping import ClassMapping
from gliascope.dataset.catalog import FILE_COLUMNS, Catalog, read_catalogued
from gliascope.dataset.scan import THUMBNAIL_SIZE
from gliascope.dataset.table_file import PATH_COLUMNS, TableFile, parse_number
from gliascope.errors import ExternalModelError, ReadError
from gliascope.reports.model import PredictionTable

INDEX_COLUMNS = ("index", "slice")
PREFIXES = ("probability_", "prob_", "p_")
SUM_TOLERANCE = 0.02  # rounding of four classes to two decimals


@dataclass(frozen=True, slots=True)
class ProbabilityTable:
    """A CSV of probabilities, matched with a catalogue.

    Parameters
    ----------
    file
        The CSV.
    rows
        Columns path and index as in the catalogue, and one column of probabilities for each class.
    columns
        Name of the file's column, by class.
    catalog
        The catalogue.
    """

    file: Path
    rows: pl.DataFrame
    columns: Mapping[str, str]
    catalog: Catalog

    @classmethod
    def read(cls, file: Path, catalog: Catalog) -> "ProbabilityTable":
        """Read a CSV of probabilities.

        The file has a column named as one of PATH_COLUMNS, a column named as one of INDEX_COLUMNS if there
        are volumes, and a column for each class, by any name that `scan` knows and with any of PREFIXES.
        Paths are matched as `TableFile.match` does. Rows of other files and other columns are ignored.
        Probabilities must add up to 1 within SUM_TOLERANCE, and are scaled to add up to 1 exactly.

        Raises
        ------
        ExternalModelError
            If the file is not such a table.
        """
        table = TableFile.read(file, ExternalModelError)
        columns = _class_columns(file, table, catalog.classes)
        path = table.find_column(PATH_COLUMNS)
        if path is None:
            raise ExternalModelError(
                f"{file}: expected a column {' or '.join(PATH_COLUMNS[:4])} but got {table.column_names}"
            )
        return cls(file, _checked(file, _rows(table, path, columns, catalog.frame)), columns, catalog)


class EvaluatedTable:
    """A ProbabilityTable as a model that `evaluate_models` scores."""

    external = True
    is_validation_chosen = False

    def __init__(self, table: ProbabilityTable, class_mapping: ClassMapping) -> None:
        self.table, self.class_mapping = table, class_mapping
        self.name, self.classes = table.file.name, class_mapping.classes

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions | None:
        """Return the probabilities of rows of a split; None if the table lacks a validation slice.

        Raises ExternalModelError if the table lacks a test slice.
        """
        labels = list(self.table.columns)
        matched = frame.select("path", "index").join(
            self.table.rows, on=["path", "index"], how="left", maintain_order="left"
        )
        missing = matched.filter(pl.col(labels[0]).is_null())
        if missing.is_empty():
            return ModelPredictions(self.class_mapping(matched.select(labels).to_numpy()))
        if subset == "val":
            return None
        path, index = missing.row(0)[:2]
        raise ExternalModelError(
            f"{self.table.file}: has no row for {missing.height} of {frame.height} test slices, "
            f"like {path} (index {index}); add them, or choose other protocols by --protocol"
        )

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """Return the slices as their files hold them or, if a file is gone, the catalogue's thumbnails."""
        key = ["path", "index"]
        rows = frame.select(key).join(self.table.catalog.frame, on=key, how="left", maintain_order="left")
        pictured = self.table.catalog.with_thumbnails(rows)
        return [_picture(*row) for row in pictured.select("index", "thumbnail", *FILE_COLUMNS).iter_rows()]

    def facts(self) -> ModelReport:
        """Return which file was read, and its columns."""
        content = hashlib.sha256(self.table.file.read_bytes()).hexdigest()
        columns = dict(self.table.columns)
        return ModelReport(PredictionTable(predictions=self.name, sha256=content, columns=columns))


def _class_columns(file: Path, table: TableFile, labels: tuple[str, ...]) -> dict[str, str]:
    """Return the columns that name a class, by class."""
    known = {*labels, *TUMOR_KINDS, "tumor", NO_TUMOR}
    columns: dict[str, str] = {}
    for column in table.columns:
        name = column.strip()
        prefix = next((prefix for prefix in PREFIXES if name.lower().startswith(prefix)), "")
        label = canonical_class(name[len(prefix) :])
        if label not in known:
            continue
        if label in columns:
            raise ExternalModelError(
                f"{file}: columns {columns[label]!r} and {column!r} both name {label}; keep one"
            )
        columns[label] = column
    if len(columns) < 2:
        raise ExternalModelError(
            f"{file}: expected a column for each of {', '.join(labels)} but got {table.column_names}"
        )
    return columns


def _rows(table: TableFile, path: str, columns: Mapping[str, str], frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the files in the catalogue, with columns path, index and one for each class.

    Rows of other files are left out.
    """
    files = frame.group_by("root", "path", maintain_order=True).agg(slices=pl.len())
    matched = table.match_files(path, files.select("root", "path").rows())
    index = table.find_column(INDEX_COLUMNS)
    indices = table.cells(index) if index else [""] * len(matched)
    rows = []
    values = zip(*(table.cells(column) for column in columns.values()), strict=True)
    for line, file_row, cell, probabilities in zip(table.lines, matched, indices, values, strict=True):
        if file_row is None:
            continue
        _, name, slices = files.row(file_row)
        slice_index = parse_number(cell) if cell else None
        if cell and (slice_index is None or not slice_index.is_integer()):
            raise ExternalModelError(
                f"{table.file}, line {line}: expected a whole number as index but got {cell!r}"
            )
        if slice_index is None and slices > 1:
            raise ExternalModelError(
                f"{table.file}, line {line}: {name} holds {slices} slices; add a column `index` that "
                "numbers them from 0"
            )
        numbers = list(map(parse_number, probabilities))
        for label, given, value in zip(columns, probabilities, numbers, strict=True):
            if value is None:
                raise ExternalModelError(
                    f"{table.file}, line {line}: expected a probability of {label}, from 0 to 1, but got "
                    f"{given!r}"
                )
        rows.append((name, int(slice_index or 0), *numbers))
    schema = {"path": pl.String, "index": pl.Int32} | dict.fromkeys(columns, pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _checked(file: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Scale each row to add up to 1.

    Raises ExternalModelError if a slice has two rows, or a row does not hold probabilities.
    """
    twice = rows.filter(pl.struct("path", "index").is_duplicated())
    if twice.height:
        raise ExternalModelError(
            f"{file}: has several rows for {twice['path'][0]} (index {twice['index'][0]})"
        )
    labels = rows.columns[2:]
    values = rows.select(labels).to_numpy()
    total = values.sum(axis=1)
    wrong = ~np.isfinite(total) | (values < 0).any(axis=1) | (np.abs(total - 1) > SUM_TOLERANCE)
    if wrong.any():
        first = int(np.argmax(wrong))
        given = ", ".join(f"{label} {value:g}" for label, value in zip(labels, values[first], strict=True))
        raise ExternalModelError(
            f"{file}: expected probabilities that add up to 1 but got {given} for {rows['path'][first]}; "
            "give a softmax's output, and a column for every class of the model"
        )
    scaled = values / total[:, None]
    return rows.with_columns(pl.Series(label, scaled[:, number]) for number, label in enumerate(labels))


def _picture(index: int, thumbnail: bytes, *file: Any) -> NDArray[np.uint8]:
    try:
        return next(item.pixels for item in read_catalogued(*file) if item.index == index)
    except (ReadError, StopIteration):
        return np.frombuffer(thumbnail, dtype=np.uint8).reshape(THUMBNAIL_SIZE, THUMBNAIL_SIZE)
