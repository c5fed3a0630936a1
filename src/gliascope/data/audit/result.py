"""The Audit: what was found in a catalogue, and what a person may decide about it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gliascope.data.catalog import read_table, write_table
from gliascope.data.table_file import TableFile, number
from gliascope.errors import GliascopeError, LayoutError
from gliascope.files import write_text
from gliascope.progress import note

GROUPS_SCHEMA: dict[str, type[pl.DataType]] = {
    "pixel_hash": pl.String,
    "group": pl.Int64,  # equal for slices that no split may part
}
PAIRS_SCHEMA: dict[str, type[pl.DataType]] = {
    "a": pl.String,  # pixel hashes, a < b
    "b": pl.String,
    "correlation": pl.Float64,  # under `transform`
    "transform": pl.String,  # "none" where the plain thumbnails reach the threshold, else what it took
    "cut": pl.Boolean,  # a link of a chain of look-alikes, that joins no group
}
ODDITIES_SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "index": pl.Int32,
    "kind": pl.String,
    "detail": pl.String,
}
DECISIONS_SCHEMA: dict[str, type[pl.DataType]] = {
    "kind": pl.String,  # conflict, suspect_label or pair
    "path": pl.String,
    "index": pl.Int32,
    "label": pl.String,
    "other_path": pl.String,  # of a pair, or of the slice in conflict
    "other_index": pl.Int32,
    "other_label": pl.String,
    "evidence": pl.Float64,  # correlation of a pair; probability of the own label for a suspect
    "action": pl.String,  # keep, drop, relabel, same or different
    "new_label": pl.String,  # for relabel
}


@dataclass(frozen=True, slots=True)
class Audit:
    """facts: audit.json; groups, pairs, oddities, decisions: frames of the schemas above.

    Pairs are of distinct slices: slices with identical pixels share one hash.
    """

    facts: dict[str, Any]
    groups: pl.DataFrame
    pairs: pl.DataFrame
    oddities: pl.DataFrame
    decisions: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write audit.json, groups.parquet, pairs.parquet, oddities.parquet and decisions.csv.

        A decisions.csv that says something else is a person's work: the new one then goes beside it.
        """
        write_table(self.groups, folder / "groups.parquet")
        write_table(self.pairs, folder / "pairs.parquet")
        write_table(self.oddities, folder / "oddities.parquet")
        proposals, path = self.decisions.write_csv(), folder / "decisions.csv"
        if path.exists() and path.read_text(encoding="utf-8") != proposals:
            path = folder / "decisions.new.csv"
            note(f"{folder / 'decisions.csv'} differs from what is proposed now; it is kept, see {path.name}")
        write_text(path, proposals)
        write_text(folder / "audit.json", json.dumps(self.facts, indent=2, allow_nan=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Audit":
        """Read what `write` wrote. Raises GliascopeError where a file is missing or is something else."""
        try:
            facts = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise GliascopeError(
                f"{folder}: not an audit ({reason}); make one with `gliascope audit`"
            ) from None

        def table(name: str, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
            return read_table(folder / f"{name}.parquet", list(schema), "audit")

        groups, pairs = table("groups", GROUPS_SCHEMA), table("pairs", PAIRS_SCHEMA)
        return cls(
            facts,
            groups,
            pairs,
            table("oddities", ODDITIES_SCHEMA),
            read_decisions(folder / "decisions.csv")[0],
        )


def read_decisions(path: Path) -> tuple[pl.DataFrame, list[int]]:
    """A decisions.csv as columns of DECISIONS_SCHEMA, and the line of each row.

    Empty lines and further columns, as spreadsheets leave them, do not count, nor does a line that has
    nothing but a remark in a further column. Raises LayoutError for what is no such file.
    """
    table = TableFile.read(path)
    column = {name: table.find([name]) for name in DECISIONS_SCHEMA}
    missing = [name for name, own in column.items() if own is None]
    if missing:
        raise LayoutError(f"{path}: lacks {', '.join(missing)}; start from the audit's decisions.csv")
    rows: dict[str, list[Any]] = {}
    for name, kind in DECISIONS_SCHEMA.items():
        cells = [cell or None for cell in table.cells(column[name] or "")]
        if kind is not pl.String:
            rows[name] = [
                _number(path, line, cell, kind) for line, cell in zip(table.lines, cells, strict=True)
            ]
        else:
            rows[name] = cells
    frame = pl.DataFrame(rows, schema=DECISIONS_SCHEMA)
    # Some programs write backslashes; ours never does.
    slashes = pl.col("path", "other_path").str.replace_all("\\", "/", literal=True)
    numbered = frame.with_columns(slashes, line=pl.Series(table.lines, dtype=pl.Int64))
    decided = numbered.filter(~pl.all_horizontal(pl.col(*DECISIONS_SCHEMA).is_null()))
    return decided.drop("line"), decided["line"].to_list()


def _number(path: Path, line: int, cell: str | None, kind: type[pl.DataType]) -> float | int | None:
    if cell is None:
        return None
    value = number(cell)
    if value is None or (kind is pl.Int32 and not value.is_integer()):
        raise LayoutError(f"{path}, line {line}: expected a number but got {cell!r}")
    return int(value) if kind is pl.Int32 else value
