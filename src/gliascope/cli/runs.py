"""`gliascope runs`."""

from pathlib import Path
from typing import Annotated

import typer


def runs(
    folder: Annotated[Path, typer.Argument(help="Runs are looked for here and below.")],
    sort: Annotated[
        str, typer.Option(help="date, accuracy, val_accuracy, recipe, protocol or seconds.")
    ] = "date",
) -> None:
    """List training runs and what came of them."""
    from gliascope.cli.tracked import print_runs
    from gliascope.commands.runs import list_runs

    print_runs(list_runs(folder, sort), folder)
