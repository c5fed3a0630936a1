"""`gliascope reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Cache, Devices, Overrides, comma_separated


def reproduce(
    *,
    data: Annotated[Path, typer.Option(help="Folder that holds the sources: masoud7023, sartaj3264, ct.")],
    out: Annotated[Path, typer.Option(help="Folder for all results.")],
    recipes: Annotated[
        str | None, typer.Option(help="Only these recipes, separated by commas; by default all.")
    ] = None,
    quickly: Annotated[
        int | None,
        typer.Option(
            min=1, help="Trial with so many slices of each source, class and subset, and one epoch per stage."
        ),
    ] = None,
    overrides: Overrides = None,
    devices: Devices = 1,
    cache: Cache = True,
) -> None:
    """Train the recipes of five published systems, and compare the results with the published ones.

    After an interruption, the same command continues where it stopped. A recipe that cannot be trained is
    excluded with its reason.
    """
    from gliascope.cli.tables import print_systems
    from gliascope.commands.reproduce import reproduce as reproduce_all

    chosen = comma_separated(recipes) if recipes else None
    reproduce_all(
        data,
        out,
        chosen,
        overrides=overrides or (),
        slices_per_class=quickly,
        devices=devices,
        cache=cache,
    )
    print_systems(out)
