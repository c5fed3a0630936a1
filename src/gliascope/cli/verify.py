"""`gliascope verify`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def verify(
    run: RunFolder,
    catalog: Annotated[
        Path | None, typer.Option(help="The run's catalogue; by default the one beside the run.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The run's split; by default the one beside the run.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="The predictions.parquet of the report; by default the one beside the run."),
    ] = None,
) -> None:
    """Predict the test slices of a run again and compare with the record; exit code 1 if they differ.

    The files are read again, and missing or changed files are listed.
    """
    from gliascope.cli.run_tables import print_verification
    from gliascope.commands.verify import verify as verify_run

    result = verify_run(run, catalog, split, predictions)
    print_verification(result)
    if not result.agrees:
        raise typer.Exit(1)
