"""A model known only by its predictions: a CSV with a row for each slice and a column for each class."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.catalog import FILE, Catalog, read_file
from gliascope.data.labels import NO_TUMOR, TUMOR_KINDS, canonical
from gliascope.data.scan import THUMBNAIL
from gliascope.errors import ForeignError, ReadError
from gliascope.pipeline.classes import Merge
from gliascope.pipeline.model import Answers

PATHS, INDICES = ("path", "file", "filename", "image"), ("index", "slice")
PREFIXES = ("probability_", "prob_", "p_")
SUM_TOLERANCE = 0.02  # two decimals of four classes


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV of probabilities, matched with a catalogue.

    rows: path and index as in the catalogue, and a column a class; columns: each class's name in the file.
    """

    file: Path
    rows: pl.DataFrame
    columns: Mapping[str, str]
    catalog: Catalog

    @classmethod
    def read(cls, file: Path, catalog: Catalog) -> "Table":
        """Read a CSV with a column of PATHS, for volumes one of INDICES, and one for each class.

        A path may be as long as it takes to tell one file of the catalogue, counted from the end; with a
        leading dot, it starts at the CSV. A class may be named in any way that `scan` knows, behind one of
        PREFIXES. Rows of other files, and other columns, are passed over. Rows add up to 1 within
        SUM_TOLERANCE, and exactly afterwards. Raises ForeignError.
        """
        table = _read(file)
        columns = _class_columns(file, table, catalog.classes)
        path = _column(table, PATHS)
        if path is None:
            raise ForeignError(f"{file}: expected a column {' or '.join(PATHS)} but got {_names(table)}")
        index = _column(table, INDICES)
        given = table.select(
            given=pl.col(path).cast(pl.String),
            index=pl.col(index).cast(pl.Int32, strict=False) if index else pl.lit(None, pl.Int32),
            **{label: pl.col(column).cast(pl.Float64, strict=False) for label, column in columns.items()},
        )
        rows = _matched(file, given, catalog.frame)
        return cls(file, _checked(file, rows, list(columns)), columns, catalog)


class TableModel:
    """What a Table says of slices, its classes merged into those of a report."""

    foreign = True
    chooses = False

    def __init__(self, table: Table, merge: Merge) -> None:
        self.table, self.merge = table, merge
        self.name, self.classes = table.file.name, merge.classes

    def answer(self, frame: pl.DataFrame, part: str) -> Answers | None:
        """Probabilities of these rows; None where a slice that validates has none.

        Raises ForeignError where one that is tested has none.
        """
        labels = list(self.table.columns)
        found = frame.select("path", "index").join(
            self.table.rows, on=["path", "index"], how="left", maintain_order="left"
        )
        missing = found.filter(pl.col(labels[0]).is_null())
        if missing.is_empty():
            return Answers(self.merge(found.select(labels).to_numpy()))
        if part == "val":
            return None
        path, index = missing.row(0)[:2]
        raise ForeignError(
            f"{self.table.file}: has no row for {missing.height} of {frame.height} slices that are tested, "
            f"like {path} (index {index}); add them, or choose other protocols by --protocol"
        )

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """These slices as their files hold them; where those are gone, the catalogue's thumbnails."""
        key = ["path", "index"]
        rows = frame.select(key).join(self.table.catalog.frame, on=key, how="left", maintain_order="left")
        pictured = self.table.catalog.pictured(rows)
        return [_picture(*row) for row in pictured.select("index", "thumbnail", *FILE).iter_rows()]

    def facts(self) -> dict[str, Any]:
        """Which file it was, and how its columns were read."""
        content = hashlib.sha256(self.table.file.read_bytes()).hexdigest()
        return {"model": {"predictions": self.name, "sha256": content, "columns": dict(self.table.columns)}}


def _read(file: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(file, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ForeignError(f"{file}: cannot be read as CSV ({str(error).splitlines()[0]})") from None


def _column(table: pl.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((column for column in table.columns if column.strip().lower() in names), None)


def _class_columns(file: Path, table: pl.DataFrame, labels: tuple[str, ...]) -> dict[str, str]:
    """The columns that name a class, by class."""
    known = {*labels, *TUMOR_KINDS, "tumor", NO_TUMOR}
    found: dict[str, str] = {}
    for column in table.columns:
        name = column.strip()
        prefix = next((prefix for prefix in PREFIXES if name.lower().startswith(prefix)), "")
        label = canonical(name[len(prefix) :])
        if label not in known:
            continue
        if label in found:
            raise ForeignError(f"{file}: columns {found[label]!r} and {column!r} both name {label}; keep one")
        found[label] = column
    if len(found) < 2:
        raise ForeignError(
            f"{file}: expected a column for each of {', '.join(labels)} but got {_names(table)}"
        )
    return found


def _matched(file: Path, given: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of `given` under the catalogue's path of their file; those of other files are left out.

    Columns path and index, and those of the classes.
    """
    absolute = pl.col("root").str.strip_suffix("/") + "/" + pl.col("path")
    files = frame.group_by("root", "path", maintain_order=True).agg(slices=pl.len())
    files = files.with_columns(parts=absolute.str.strip_prefix("/").str.split("/"))
    here = os.path.abspath(file.parent)  # noqa: PTH100 (as `root` is made: symlinks keep their names)
    parts = pl.Series([_parts(text, here) for text in given["given"].fill_null("")], dtype=pl.List(pl.String))
    given = given.with_columns(tail=parts.list.join("/"), depth=parts.list.len())
    pieces = []
    for (depth,), rows in given.filter(pl.col("depth") > 0).group_by("depth", maintain_order=True):
        tails = files.with_columns(tail=pl.col("parts").list.tail(depth).list.join("/"))
        several = rows.join(tails.filter(pl.col("tail").is_duplicated()), on="tail", how="semi")
        if several.height:
            raise ForeignError(
                f"{file}: {several['given'][0]} may be any of several files of the catalogue; give longer "
                "paths"
            )
        pieces.append(rows.join(tails.select("tail", "path", "slices"), on="tail", maintain_order="left"))
    matched = pl.concat(pieces) if pieces else given.clear()
    if matched.is_empty():
        raise ForeignError(f"{file}: names no file of the catalogue, whose paths are like {frame['path'][0]}")
    volumes = matched.filter(pl.col("index").is_null() & (pl.col("slices") > 1))
    if volumes.height:
        raise ForeignError(
            f"{file}: {volumes['given'][0]} holds {volumes['slices'][0]} slices; add a column `index` that "
            "numbers them from 0"
        )
    return matched.drop("given", "tail", "depth", "slices").with_columns(pl.col("index").fill_null(0))


def _parts(text: str, folder: str) -> list[str]:
    path = text.strip().replace("\\", "/")
    if path.startswith("."):
        path = os.path.normpath(f"{folder}/{path}").replace("\\", "/")
    return [part for part in path.split("/") if part not in ("", ".")]


def _checked(file: Path, rows: pl.DataFrame, labels: list[str]) -> pl.DataFrame:
    """The rows, each adding up to 1. Raises ForeignError for a slice told twice, or no probabilities."""
    twice = rows.filter(pl.struct("path", "index").is_duplicated())
    if twice.height:
        raise ForeignError(f"{file}: has several rows for {twice['path'][0]} (index {twice['index'][0]})")
    values = rows.select(labels).to_numpy()
    total = values.sum(axis=1)
    wrong = ~np.isfinite(total) | (values < 0).any(axis=1) | (np.abs(total - 1) > SUM_TOLERANCE)
    if wrong.any():
        first = int(np.argmax(wrong))
        said = ", ".join(f"{label} {value:g}" for label, value in zip(labels, values[first], strict=True))
        raise ForeignError(
            f"{file}: expected probabilities that add up to 1 but got {said} for {rows['path'][first]}; give "
            "a softmax's output, and a column for every class of the model"
        )
    scaled = values / total[:, None]
    return rows.with_columns(pl.Series(label, scaled[:, number]) for number, label in enumerate(labels))


def _picture(index: int, thumbnail: bytes, *file: Any) -> NDArray[np.uint8]:
    try:
        return next(item.pixels for item in read_file(*file) if item.index == index)
    except (ReadError, StopIteration):
        return np.frombuffer(thumbnail, dtype=np.uint8).reshape(THUMBNAIL, THUMBNAIL)


def _names(table: pl.DataFrame) -> str:
    return ", ".join(table.columns) or "none"
