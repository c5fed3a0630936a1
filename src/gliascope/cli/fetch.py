"""`gliascope fetch`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gliascope.download import PublicSet

Name = Annotated[str | None, typer.Argument(help="Name of a data set, as --list shows it.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the data set; by default its name.")]
List = Annotated[bool, typer.Option("--list", help="List the known data sets, or show one of them in full.")]


def fetch(name: Name = None, out: Out = None, list_: List = False) -> None:
    """Download a public data set from Kaggle or figshare; an interrupted download continues."""
    from gliascope.download import fetch as fetch_set
    from gliascope.download import find_public_set
    from gliascope.errors import DownloadError

    if name is None:
        if not list_:
            raise DownloadError("expected the name of a data set; `gliascope fetch --list` shows the names")
        _print_sets()
        return
    public = find_public_set(name)
    if list_:
        _print_set(public)
        return
    folder = fetch_set(name, out or Path(name))
    _print_set(public)
    _print_next(public, folder)


def _print_sets() -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from gliascope.download.public import TO_BE_CHECKED, public_sets

    name = Column("name", no_wrap=True)
    numbers = [Column(head, justify="right", no_wrap=True) for head in ("slices", "MB")]
    table = Table(name, "set and classes", *numbers, "licence", show_lines=True)
    for public in public_sets().values():
        lines = [f"[bold]{escape(public.title)}[/bold]", escape(", ".join(public.classes))]
        if public.overlaps:
            lines.append(f"shares slices with {', '.join(public.overlaps)}")
        sizes = (f"{n:,}" if n else "?" for n in (public.slices, public.megabytes))
        table.add_row(public.name, "\n".join(lines), *sizes, public.licence or TO_BE_CHECKED)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "?: not checked yet. `gliascope fetch NAME --list` shows the home page and overlaps of a set."
    )


def _print_set(public: PublicSet) -> None:
    from gliascope.download.public import TO_BE_CHECKED

    facts = {
        "set": public.title,
        "home": public.home,
        "licence": public.licence or TO_BE_CHECKED,
        "classes": ", ".join(public.classes),
        "slices": public.slices or TO_BE_CHECKED,
        "megabytes": public.megabytes or TO_BE_CHECKED,
        "note": public.note,
    }
    for fact, value in facts.items():
        if value:
            typer.echo(f"{fact}: {value}")
    for other, how in public.overlaps.items():
        typer.echo(f"shares slices with {other}: {how}")


def _print_next(public: PublicSet, folder: Path) -> None:
    from gliascope.download.fetch import LABELS_FILE

    arguments = [str(folder)] + (["--labels", str(folder / LABELS_FILE)] if public.labels else [])
    given = shlex.join(arguments)
    typer.echo(f"\nin {folder}; keep to the licence above. Continue with")
    typer.echo(f"  gliascope scan {given}\n  gliascope audit catalog.parquet --out audit")
    typer.echo(f"or with all steps at once\n  gliascope run {given} --out run")
