"""`gliascope explore`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile


def explore(
    catalog: CatalogFile,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("explore.html"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the slices drawn at random.")] = 0,
) -> None:
    """Show what a catalogue holds as one HTML page: counts, sizes, intensities, slices of each class."""
    from gliascope.dataset.catalog import Catalog
    from gliascope.reports.pages.explore import render_explore
    from gliascope.runtime.files import write_text

    write_text(out, render_explore(Catalog.load(catalog), seed))
    typer.echo(f"{out}")
