"""The Audit: the facts of audit.json, and the tables that are written beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from gliascope.audit.facts import AuditFacts
from gliascope.dataset.catalog import read_table, write_table
from gliascope.dataset.table_file import TableFile, parse_number
from gliascope.errors import GliascopeError, LayoutError
from gliascope.runtime.files import write_text
from gliascope.runtime.progress import note

GROUPS_SCHEMA: dict[str, type[pl.DataType]] = {
    "pixel_hash": pl.String,
    "group": pl.Int64,  # equal for slices that no split may separate
}
PAIRS_SCHEMA: dict[str, type[pl.DataType]] = {
    "a": pl.String,  # pixel hashes, a < b
    "b": pl.String,
    "correlation": pl.Float64,  # under `transform`
    "transform": pl.String,  # "none" where the plain thumbnails reach the threshold, else what it took
    "cut": pl.Boolean,  # true for a link in a chain of look-alikes that joins no group
}
QUALITY_ISSUES_SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "index": pl.Int32,
    "kind": pl.String,
    "detail": pl.String,
}
LABEL_ISSUE = "suspect_label"  # in decisions.csv and audit.json, which people and other programs keep
DECISIONS_SCHEMA: dict[str, type[pl.DataType]] = {
    "kind": pl.String,  # conflict, suspect_label or pair
    "path": pl.String,
    "index": pl.Int32,
    "label": pl.String,
    "other_path": pl.String,  # of a pair, or of the slice in conflict
    "other_index": pl.Int32,
    "other_label": pl.String,
    "evidence": pl.Float64,  # correlation of a pair; predicted probability of the given label otherwise
    "action": pl.String,  # keep, drop, relabel, same or different
    "new_label": pl.String,  # for relabel
}


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of an audit.

    Parameters
    ----------
    facts
        The contents of audit.json.
    groups
        Group of each distinct slice, in the columns of `GROUPS_SCHEMA`.
    pairs
        Near copies among distinct slices, in the columns of `PAIRS_SCHEMA`. Slices with identical pixels
        share one pixel hash and are no pair.
    quality_issues
        Slices that a person should look at, in the columns of `QUALITY_ISSUES_SCHEMA`.
    decisions
        Proposed decisions for a person to edit, in the columns of `DECISIONS_SCHEMA`.
    """

    facts: AuditFacts
    groups: pl.DataFrame
    pairs: pl.DataFrame
    quality_issues: pl.DataFrame
    decisions: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write audit.json, groups.parquet, pairs.parquet, quality_issues.parquet and decisions.csv.

        An existing decisions.csv with other contents was edited by a person and is kept. The new proposals
        are then written to decisions.new.csv.
        """
        write_table(self.groups, folder / "groups.parquet")
        write_table(self.pairs, folder / "pairs.parquet")
        write_table(self.quality_issues, folder / "quality_issues.parquet")
        proposals, path = self.decisions.write_csv(), folder / "decisions.csv"
        if path.exists() and path.read_text(encoding="utf-8") != proposals:
            path = folder / "decisions.new.csv"
            note(f"{folder / 'decisions.csv'} differs from what is proposed now; it is kept, see {path.name}")
        write_text(path, proposals)
        write_text(folder / "audit.json", self.facts.to_json())

    @classmethod
    def load(cls, folder: Path) -> "Audit":
        """Read the files that `write` has written.

        Raises
        ------
        GliascopeError
            If a file is missing, is no such file, or was written by another version. The message says to
            make the audit again.
        """
        return cls(
            _load_facts(folder),
            read_table(folder / "groups.parquet", list(GROUPS_SCHEMA), "audit"),
            read_table(folder / "pairs.parquet", list(PAIRS_SCHEMA), "audit"),
            read_table(folder / "quality_issues.parquet", list(QUALITY_ISSUES_SCHEMA), "audit"),
            read_decisions(folder / "decisions.csv")[0],
        )


def _load_facts(folder: Path) -> AuditFacts:
    try:
        return AuditFacts.model_validate_json((folder / "audit.json").read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "audit.json"
        raise GliascopeError(
            f"{folder}: not an audit of this version ({where}: {first['msg']}); "
            "make it again with `gliascope audit`"
        ) from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise GliascopeError(f"{folder}: not an audit ({reason}); make one with `gliascope audit`") from None


def read_decisions(path: Path) -> tuple[pl.DataFrame, list[int]]:
    """Read a decisions.csv, as written by an audit and edited by a person.

    Empty lines and additional columns, which spreadsheets leave behind, are ignored. So is a line whose only
    text is in an additional column.

    Parameters
    ----------
    path
        The file; any delimiter and encoding that `TableFile` recognises.

    Returns
    -------
    decisions
        One row a decision, in the columns of `DECISIONS_SCHEMA`.
    lines
        Line number in the file of each row, counted from 1.

    Raises
    ------
    LayoutError
        If a column is missing, or a cell that must be a number is none.
    """
    table = TableFile.read(path)
    column = {name: table.find_column([name]) for name in DECISIONS_SCHEMA}
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
    # Some spreadsheet programs write backslashes; Gliascope never does.
    slashes = pl.col("path", "other_path").str.replace_all("\\", "/", literal=True)
    numbered = frame.with_columns(slashes, line=pl.Series(table.lines, dtype=pl.Int64))
    decided = numbered.filter(~pl.all_horizontal(pl.col(*DECISIONS_SCHEMA).is_null()))
    return decided.drop("line"), decided["line"].to_list()


def _number(path: Path, line: int, cell: str | None, kind: type[pl.DataType]) -> float | int | None:
    if cell is None:
        return None
    value = parse_number(cell)
    if value is None or (kind is pl.Int32 and not value.is_integer()):
        raise LayoutError(f"{path}, line {line}: expected a number but got {cell!r}")
    return int(value) if kind is pl.Int32 else value
