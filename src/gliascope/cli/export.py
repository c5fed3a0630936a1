"""`gliascope export-dataset`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gliascope.cli.options import CatalogFile, DecisionsFile

if TYPE_CHECKING:
    from gliascope.commands.export_dataset import ExportSummary

Out = Annotated[Path, typer.Option(help="Folder to write; new or empty.")]
_KINDS = {
    "copies": "copy of",
    "label conflicts": "label conflict",
    "dropped by decision": "dropped",
    "not read": "not read",
}
Copy = Annotated[bool, typer.Option("--copy", help="Copy all files; by default they are hard links.")]


def export_dataset(
    catalog: CatalogFile, out: Out, decisions: DecisionsFile = None, copy: Copy = False
) -> None:
    """Write a cleaned folder tree: each slice once, no conflicting labels, and a CSV of what was left out."""
    from gliascope.audit.decisions import Decisions
    from gliascope.commands.export_dataset import export_dataset as export
    from gliascope.dataset.catalog import Catalog

    decided = Decisions.load(decisions) if decisions else None
    _print_export(export(Catalog.load(catalog), out, decided, copy), out)
    if decided:
        typer.echo(decided.summary)


def _print_export(export: ExportSummary, out: Path) -> None:
    """Print what was written and left out, and the command that scans the result."""
    from gliascope.commands.export_dataset import GROUPS, LABELS, LEFT_OUT

    for way, files in export.files.items():
        typer.echo(f"{files} files {way}")
    counts = {kind: export.left_out["why"].str.starts_with(start).sum() for kind, start in _KINDS.items()}
    listed = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
    typer.echo(f"{export.left_out.height} left out{listed and f' ({listed})'}, see {LEFT_OUT}")
    options = {GROUPS: "--groups", LABELS: "--labels"}
    given = [item for table in export.tables for item in (options[table], str(out / table))]
    typer.echo(f"scan it with\n  gliascope scan {shlex.join([str(out), *given])}")
