"""`gliascope store`."""

import typer

from gliascope.cli.options import CatalogFile, Cluster, Overrides, RecipeName, executor_of


def store(
    catalog: CatalogFile,
    recipe: RecipeName = "quick",
    overrides: Overrides = None,
    cluster: Cluster = None,
) -> None:
    """Decode and preprocess all slices of a catalogue for a recipe; print the folder of the result."""
    from gliascope.dataset.catalog import Catalog
    from gliascope.recipes import load_recipe
    from gliascope.store.store import store as build_store

    preprocessing = load_recipe(recipe, overrides or ()).preprocessing
    frame = Catalog.load(catalog).frame
    with executor_of(cluster) as workers:
        typer.echo(build_store(frame, preprocessing, workers).folder)
