"""`gliascope explore`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile


def explore(
    catalog: CatalogFile,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("explore.html"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random example slices.")] = 0,
) -> None:
    """Write an HTML page about a catalogue: counts, sizes, intensities, example slices of each class."""
    from gliascope.dataset.catalog import Catalog
    from gliascope.reports.pages.explore import render_explore
    from gliascope.runtime.files import write_text

    write_text(out, render_explore(Catalog.load(catalog), seed))
    typer.echo(f"{out}")
