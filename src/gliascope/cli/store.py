"""`gliascope store`."""

import typer

from gliascope.cli.options import CatalogFile, Overrides, RecipeName


def store(catalog: CatalogFile, recipe: RecipeName = "quick", overrides: Overrides = None) -> None:
    """Decode and preprocess all slices of a catalogue once, for a recipe; print the store's folder."""
    from gliascope.data.catalog import Catalog
    from gliascope.data.store import store as build_store
    from gliascope.recipes import load_recipe

    preprocessing = load_recipe(recipe, overrides or ()).preprocessing
    typer.echo(build_store(Catalog.load(catalog).frame, preprocessing).folder)
