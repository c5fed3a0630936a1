"""`gliascope train`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import (
    Cache,
    CatalogFile,
    Cluster,
    Devices,
    Mlflow,
    Overrides,
    RecipeName,
    SplitFile,
    executor_of,
)


def train(
    catalog: CatalogFile,
    split: SplitFile,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the run; further runs go beside it.")] = Path("run"),
    recipe: RecipeName = "quick",
    overrides: Overrides = None,
    devices: Devices = 1,
    cache: Cache = True,
    mlflow: Mlflow = None,
    cluster: Cluster = None,
) -> None:
    """Train a recipe on each different training subset in the split, and calibrate each model.

    After an interruption, the same command continues at the epoch where it stopped.
    """
    from gliascope.commands.tracking import check_mlflow, track
    from gliascope.commands.train import calibrate_runs, check_training
    from gliascope.commands.train import train as train_recipe
    from gliascope.dataset.catalog import Catalog
    from gliascope.models.backbones import complete_recipe
    from gliascope.recipes import load_recipe
    from gliascope.splits.split import load_splits
    from gliascope.store.store_splits import store_splits

    chosen = load_recipe(recipe, overrides or ())
    splits = [one.for_task(chosen.task) for one in load_splits(split)]
    if mlflow is not None:
        check_mlflow(mlflow)
    with executor_of(cluster) as workers:
        slices, chosen = Catalog.load(catalog).frame, complete_recipe(chosen)
        check_training(chosen, splits, out, devices)
        images, splits = store_splits(slices, splits, chosen.preprocessing, workers)
        runs = train_recipe(chosen, splits, images, out, devices=devices, cache=cache, executor=workers)
        calibrate_runs(runs, images, splits, executor=workers)
    if mlflow is not None:
        track(mlflow, runs)
    for run in runs:
        typer.echo(f"{run.folder}")
