"""`gliascope run`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import Groups, Labels, Overrides, ProtocolName, RecipeName, Seed, Sources


def run(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Folder for everything this makes.")],
    recipe: RecipeName = "quick",
    protocol: ProtocolName = "official",
    labels: Labels = None,
    groups: Groups = None,
    seed: Seed = 0,
    overrides: Overrides = None,
) -> None:
    """Folders of slices to a report and a deployable bundle: scan, split, store, train, evaluate, bundle.

    After an interruption, the same command goes on where it stopped.
    """
    from gliascope.cli.tables import print_report
    from gliascope.pipeline.run import run as run_all
    from gliascope.recipes import load_recipe

    run_all(sources, out, load_recipe(recipe, overrides or ()), protocol, labels, groups, seed)
    print_report(out)
