"""`gliascope runs`."""

from pathlib import Path
from typing import Annotated

import typer


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder whose runs are listed, including subfolders.")],
    sort: Annotated[
        str, typer.Option(help="Order: date, accuracy, val_accuracy, recipe, protocol or seconds.")
    ] = "date",
) -> None:
    """List training runs and their results."""
    from gliascope.cli.run_tables import print_runs
    from gliascope.commands.runs import list_runs

    print_runs(list_runs(folder, sort), folder)
