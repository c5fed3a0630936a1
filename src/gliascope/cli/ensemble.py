"""`gliascope ensemble`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Average(StrEnum):
    """What an ensemble averages over its members."""

    probabilities = "probabilities"
    logits = "logits"


def ensemble(
    runs: Annotated[
        list[Path], typer.Argument(help="Two or more run folders that `train` wrote, like RESULTS/run.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for all results.")],
    average: Annotated[
        Average, typer.Option(help="What is averaged over the members.")
    ] = Average.probabilities,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalogue of the runs; by default the one beside the first run.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Split of the runs; by default the one beside each run.")
    ] = None,
) -> None:
    """Join runs of several folds, seeds or recipes into one bundle, and test it.

    All runs need the same classes and, in their preprocessing, the same filter, crop, fit and standardise. A
    slice that one of the runs was trained on does not test the ensemble.
    """
    from gliascope.cli.tables import print_report
    from gliascope.commands.ensemble import ensemble as join_runs

    if join_runs(runs, out, average=average.value, catalog=catalog, split=split):
        print_report(out)
    else:
        typer.echo(f"{out / 'run' / 'model'}")
