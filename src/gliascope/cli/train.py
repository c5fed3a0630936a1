"""`gliascope train`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Cache, CatalogFile, Devices, Overrides, RecipeName, SplitFile


def train(
    catalog: CatalogFile,
    split: SplitFile,
    out: Annotated[Path, typer.Option(help="Where the run goes; further ones beside it.")] = Path("run"),
    recipe: RecipeName = "quick",
    overrides: Overrides = None,
    devices: Devices = 1,
    cache: Cache = True,
) -> None:
    """Train a recipe on each different training part in the split.

    After an interruption, the same command goes on at the epoch where it stopped.
    """
    from gliascope.data.catalog import Catalog
    from gliascope.data.split import load_splits
    from gliascope.pipeline.train import train as train_recipe
    from gliascope.recipes import load_recipe

    chosen = load_recipe(recipe, overrides or ())
    splits = load_splits(split)
    for run in train_recipe(chosen, Catalog.load(catalog), splits, out, devices, cache):
        typer.echo(f"{run.folder}")
