"""`gliascope bundle`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def bundle(
    run: RunFolder,
    report: Annotated[Path, typer.Argument(help="The report.json that `evaluate` wrote for this run.")],
    out: Annotated[Path, typer.Option(help="Where the bundle goes.")] = Path("bundle"),
) -> None:
    """Join a run's exported model and its report to the folder you deploy."""
    from gliascope.commands.bundle import bundle as bundle_run
    from gliascope.recipes.run import Run

    bundle_run(Run.load(run), report, out)
    typer.echo(f"{out}")
