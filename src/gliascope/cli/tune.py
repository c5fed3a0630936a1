"""`gliascope tune`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Cache, CatalogFile, Cluster, Overrides, RecipeName, SplitFile, executor_of


def tune(
    catalog: CatalogFile,
    split: SplitFile,
    *,
    space: Annotated[
        Path, typer.Option(help="YAML: fields of the recipe with ranges or choices; see docs/tune.md.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the study, its page and the best recipe.")],
    recipe: RecipeName = "quick",
    overrides: Overrides = None,
    protocol: Annotated[
        str | None, typer.Option(help="A protocol of the split; by default the first one.")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Number of trials in all, including those of earlier calls.")
    ] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    cache: Cache = True,
    cluster: Cluster = None,
) -> None:
    """Search for a better recipe by validation alone: test slices are never loaded.

    After an interruption, the same command continues. Started several times at once, the commands share the
    work.
    """
    from gliascope.cli.tables import print_tune
    from gliascope.commands.tune import tune as tune_recipe
    from gliascope.dataset.catalog import Catalog
    from gliascope.recipes.space import load_search_space
    from gliascope.splits.split import load_splits

    splits = load_splits(split, [protocol] if protocol else None)
    own_splits = [one for one in splits if one.protocol == splits[0].protocol]
    search_space = load_search_space(space)
    slices = Catalog.load(catalog)
    with executor_of(cluster) as workers:
        tune_recipe(
            recipe,
            overrides or (),
            search_space,
            slices,
            splits=own_splits,
            folder=out,
            trials=trials,
            seed=seed,
            cache=cache,
            executor=workers,
        )
    print_tune(out)
