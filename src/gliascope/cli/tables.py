"""Short tables of what a command made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope import RESEARCH_USE

if TYPE_CHECKING:
    import polars as pl

    from gliascope.data.catalog import Catalog
    from gliascope.data.split import Split

SHARES, SCORES = ("accuracy", "balanced_accuracy"), ("macro_auroc", "ece")


def print_catalog(catalog: Catalog) -> None:
    """Slices by source and class, and files set aside by reason."""
    _print_counts(catalog.frame, ["source", "label"], "Slices")
    if catalog.rejects.height:
        _print_counts(catalog.rejects, ["source", "reason"], "Files set aside, see rejects.parquet")


def print_split(split: Split) -> None:
    """Slices by part and class."""
    _print_counts(split.frame, ["part", "label"], f"Protocol {split.protocol}")


def print_report(folder: Path) -> None:
    """Headline numbers of folder/report.json and where the report is."""
    from rich.console import Console
    from rich.table import Table

    from gliascope.evaluation.page import decimal, percent, span

    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    table = Table("protocol", "n", "accuracy", "balanced", "macro AUROC", "ECE", title="On the test part")
    for name, result in report["protocols"].items():
        cells = [f"{percent(n['value'])}\n{span(n)}" for n in map(result.get, SHARES)]
        cells += [f"{decimal(n['value'])}\n{span(n, 'decimal')}" for n in map(result.get, SCORES)]
        table.add_row(name, str(result["n"]), *cells)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"95 % intervals by bootstrap over groups. {RESEARCH_USE}")
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, markup=False)


def _print_counts(frame: pl.DataFrame, columns: list[str], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows, heads = columns
    names = sorted(frame[heads].unique().to_list())
    table = Table(rows, *map(escape, names), "all", title=title)
    for (name,), group in sorted(frame.group_by(rows)):
        counts = dict(group[heads].value_counts().rows())
        table.add_row(escape(str(name)), *(str(counts.get(head, 0)) for head in names), str(group.height))
    Console(highlight=False).print(table)
