"""Recipe + Split + Catalog in, Run out."""

from pathlib import Path

from gliascope.data.catalog import Catalog
from gliascope.data.split import Split
from gliascope.data.store import store
from gliascope.recipes import Recipe
from gliascope.recipes.run import Run


def train(recipe: Recipe, catalog: Catalog, parts: Split, folder: Path, resume: bool = False) -> Run:
    """Build the store and train `recipe` on it, in a process set up for it. Raises as training.run.train."""
    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.run import train as train_run

    keep_freed_memory()
    return train_run(recipe, parts, store(catalog.frame, recipe.preprocessing), folder, resume)
