"""Patients and folds: attached from a CSV, and joined into the groups that are never cut."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.content import content
from gliascope.errors import LayoutError
from gliascope.progress import note

COLUMNS = ("path", "group", "fold")


@dataclass(frozen=True, slots=True)
class GroupsFile:
    """A CSV that says which slices belong together, and the names of its columns.

    path: relative to the sources' parent or to the CSV; group: of a patient, say; fold: a number, or absent.
    """

    file: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, file: Path | None, columns: str) -> "GroupsFile | None":
        """Read names like "path=image,group=patient". Raises LayoutError for what is no such list."""
        if file is None:
            return None
        pairs = [pair.split("=", 1) for pair in columns.split(",") if pair]
        if any(len(pair) != 2 or pair[0] not in COLUMNS for pair in pairs):
            raise LayoutError(
                f"expected column names like path=image,group=patient,fold=k but got {columns!r}"
            )
        return cls(file, dict(pairs))


def attach_groups(frame: pl.DataFrame, groups: GroupsFile | None, told: bool = True) -> pl.DataFrame:
    """Fill `group` and `fold` of a catalogue frame from a CSV; `told`: say on screen how many were found.

    Raises LayoutError for a CSV without the columns path and group, with one path twice, or that matches no
    slice.
    """
    if groups is None:
        return frame
    path = groups.file
    table = _read_groups(path, {name: groups.columns.get(name, name) for name in COLUMNS})
    # A path counts from the sources' parent, or else from the CSV's own folder.
    folder = os.path.abspath(path.parent)  # noqa: PTH100 (as `root` is made: symlinks keep their names)
    absolute = table.select(
        absolute=pl.col("path").map_elements(partial(os.path.join, folder), return_dtype=pl.String),
        group_beside="group",
        fold_beside="fold",
    )
    joined = (
        frame.drop("group", "fold")
        .with_columns(absolute=pl.col("root").str.strip_suffix("/") + "/" + pl.col("path"))
        .join(table, on="path", how="left", maintain_order="left")
        .join(absolute, on="absolute", how="left", maintain_order="left")
        .with_columns(group=pl.coalesce("group", "group_beside"), fold=pl.coalesce("fold", "fold_beside"))
    )
    if joined["group"].is_null().all():
        raise LayoutError(
            f"{path}: matches no slice; its paths must start at the sources' parent "
            f"(like {frame['path'][0]}) or at the CSV's own folder"
        )
    if told:
        note(f"{joined['group'].count()} of {joined.height} slices got a group from {path}")
    return joined.select(frame.columns)


def _read_groups(path: Path, names: Mapping[str, str]) -> pl.DataFrame:
    """The CSV as columns path, group and fold (null where it has none)."""
    try:
        table = pl.read_csv(path, schema_overrides={names["path"]: pl.String, names["group"]: pl.String})
        if names["fold"] in table.columns:
            table = table.with_columns(pl.col(names["fold"]).cast(pl.Int32))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LayoutError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    if not {names["path"], names["group"]} <= set(table.columns):
        raise LayoutError(
            f"{path}: expected columns {names['path']},{names['group']} and optionally {names['fold']} "
            f"but got {', '.join(table.columns)}; name others by --group-columns path=…,group=…,fold=…"
        )
    known = {column: name for name, column in names.items() if column in table.columns}
    table = table.select(list(known)).rename(known)
    if "fold" not in table.columns:
        table = table.with_columns(fold=pl.lit(None, pl.Int32))
    if table["path"].is_duplicated().any():
        raise LayoutError(
            f"{path}: {table.filter(pl.col('path').is_duplicated())['path'][0]} is listed twice"
        )
    return table.select("path", "group", "fold")


def group_ids(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Number the groups of a catalogue frame, (rows,) int64, in order of first appearance.

    Slices belong together that share a group of the CSV, else a patient; that are of one study or file; or
    that have identical pixels, unless they are blank. Transitively: groups are connected components.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    owner = pl.coalesce(pl.lit("group:") + pl.col("group"), pl.lit("patient:") + pl.col("patient"))
    file = pl.concat_str("root", "path", separator="/")
    keys = frame.select(owner=owner, study="study", file=file, pixels=content(frame))
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
