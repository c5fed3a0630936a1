"""`gliascope verify`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def verify(
    run: RunFolder,
    catalog: Annotated[Path | None, typer.Option(help="Its catalogue, if not beside the run.")] = None,
    split: Annotated[Path | None, typer.Option(help="Its split, if not beside the run.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="The predictions.parquet of its report, if not beside the run.")
    ] = None,
) -> None:
    """Ask a run's model again what it said of its test slices; exit code 1 where it says something else.

    The files are read anew: which are missing or changed is said.
    """
    from gliascope.cli.tracked import print_verification
    from gliascope.commands.verify import verify as verify_run

    found = verify_run(run, catalog, split, predictions)
    print_verification(found)
    if not found.agrees:
        raise typer.Exit(1)
