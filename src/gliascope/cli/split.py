"""`gliascope split`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile, ProtocolName, Seed


def split(
    catalog: CatalogFile,
    out: Annotated[Path, typer.Option(help="Where the split goes.")] = Path("split.parquet"),
    protocol: ProtocolName = "official",
    seed: Seed = 0,
) -> None:
    """Divide a catalogue into training, validation and test parts."""
    from gliascope.cli.tables import print_split
    from gliascope.data.catalog import Catalog
    from gliascope.data.split import split as split_catalog

    result = split_catalog(Catalog.load(catalog), protocol, seed)
    result.write(out)
    print_split(result)
    typer.echo(f"{out}")
