"""Patients and folds from a user's CSV, and the groups of slices that no split separates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.dataset.content import copy_keys
from gliascope.dataset.table_file import TableFile, parse_number
from gliascope.errors import LayoutError
from gliascope.runtime.progress import note

GROUP_COLUMNS = ("path", "group", "fold")


@dataclass(frozen=True, slots=True)
class GroupsFile:
    """A CSV that names the group of each file.

    Parameters
    ----------
    file
        The CSV. Its paths start at the parent folder of the sources, or at the folder of the CSV.
    columns
        Names of the CSV's columns, by the keys of `GROUP_COLUMNS`: `path`, `group` (usually a patient) and
        `fold` (a whole number; optional). A key that is absent stands for a column of that name.
    """

    file: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, file: Path | None, columns: str) -> "GroupsFile | None":
        """Read names of columns from a text such as "path=image,group=patient".

        Parameters
        ----------
        file
            The CSV, or None if the user gave none.
        columns
            The text; empty if the columns have their usual names.

        Raises
        ------
        LayoutError
            If the text is no such list.
        """
        if file is None:
            return None
        pairs = [pair.split("=", 1) for pair in columns.split(",") if pair]
        if any(len(pair) != 2 or pair[0] not in GROUP_COLUMNS for pair in pairs):
            raise LayoutError(
                f"expected column names like path=image,group=patient,fold=k but got {columns!r}"
            )
        return cls(file, dict(pairs))


def attach_groups(frame: pl.DataFrame, groups: GroupsFile | None) -> pl.DataFrame:
    """Fill the columns `group` and `fold` of a catalogue frame from a CSV.

    Parameters
    ----------
    frame
        Catalogue rows.
    groups
        The CSV; None leaves the frame as it is.

    Returns
    -------
    polars.DataFrame
        The same rows and columns.

    Raises
    ------
    LayoutError
        If the CSV lacks a column, gives two groups to one file, or names none of the files.
    """
    if groups is None:
        return frame
    table = TableFile.read(groups.file)
    column = {name: table.find_column([groups.columns.get(name, name)]) for name in GROUP_COLUMNS}
    missing = [name for name in groups.columns if column[name] is None]
    if column["path"] is None or column["group"] is None or missing:
        path, group, fold = (groups.columns.get(name, name) for name in GROUP_COLUMNS)
        raise LayoutError(
            f"{groups.file}: expected columns {path},{group} and optionally {fold} "
            f"but got {table.column_names}; name others by --group-columns path=…,group=…,fold=…"
        )
    files = frame.select("root", "path").unique(maintain_order=True)
    found = table.match_files(column["path"], files.rows())
    group_of: dict[int, tuple[str, str, int | None]] = {}
    folds = table.cells(column["fold"]) if column["fold"] else [""] * len(found)
    for row in zip(
        table.lines, found, table.cells(column["path"]), table.cells(column["group"]), folds, strict=True
    ):
        line, file, path, group, fold = row
        if file is None:
            continue
        row_facts = (path, group, _fold(groups.file, line, fold))
        if group_of.setdefault(file, row_facts)[1:] != row_facts[1:]:
            raise LayoutError(f"{groups.file}, line {line}: {path} is listed twice; keep one line of it")
    rows = [(*files.row(file), group or None, fold) for file, (_, group, fold) in group_of.items()]
    schema = dict.fromkeys(("root", "path", "group"), pl.String) | {"fold": pl.Int32}
    joined = frame.drop("group", "fold").join(
        pl.DataFrame(rows, schema=schema, orient="row"),
        on=["root", "path"],
        how="left",
        maintain_order="left",
    )
    note(f"{joined['group'].count()} of {joined.height} slices got a group from {groups.file}")
    return joined.select(frame.columns)


def _fold(file: Path, line: int, cell: str) -> int | None:
    """Parse the cell of a fold, None if it is empty."""
    if not cell:
        return None
    fold = parse_number(cell)
    if fold is None or not fold.is_integer():
        raise LayoutError(f"{file}, line {line}: expected a whole number as fold but got {cell!r}")
    return int(fold)


def number_groups(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Number the groups of slices that belong together.

    Two slices are in one group if they share a group of the CSV, a patient, a study, a file or all their
    pixels (unless they are blank), directly or through other slices.

    Parameters
    ----------
    frame
        Catalogue rows.

    Returns
    -------
    numpy.ndarray
        int64 (rows,), numbered by first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    file = pl.concat_str("root", "path", separator="/")
    keys = frame.select("group", "patient", "study", file=file, pixels=copy_keys(frame))
    rows = frame.height
    edges = []
    offset = rows
    for column in keys.columns:
        codes = keys[column].rank("dense")
        known = codes.is_not_null().to_numpy()
        edges.append((np.flatnonzero(known), codes.drop_nulls().to_numpy().astype(np.int64) - 1 + offset))
        offset += codes.n_unique()
    start, end = (np.concatenate(part) for part in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][:rows]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
