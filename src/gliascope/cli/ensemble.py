"""`gliascope ensemble`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Average(StrEnum):
    """Of what an ensemble is the mean."""

    probabilities = "probabilities"
    logits = "logits"


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs that `train` wrote: RESULTS/run.")],
    out: Annotated[Path, typer.Option(help="Folder for everything this makes.")],
    average: Annotated[
        Average, typer.Option(help="What of the members' answers is averaged.")
    ] = Average.probabilities,
    catalog: Annotated[
        Path | None, typer.Option(help="What they were trained on, where it is not beside the first.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The split of all of them, where it is not beside each.")
    ] = None,
) -> None:
    """Join runs of folds, seeds or recipes into one bundle with one graph, and test it.

    Members name the same classes; of their preprocessing, filter, crop, fit and standardise are equal. A
    slice that one of them trained on does not test the ensemble.
    """
    from gliascope.cli.tables import print_report
    from gliascope.commands.ensemble import ensemble as join_runs

    if join_runs(runs, out, average.value, catalog, split):
        print_report(out)
    else:
        typer.echo(f"{out / 'run' / 'model'}")
