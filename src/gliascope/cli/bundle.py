"""`gliascope bundle`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def bundle(
    run: RunFolder,
    report: Annotated[Path, typer.Argument(help="The report.json that `evaluate` wrote for this run.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("bundle"),
) -> None:
    """Join the exported model of a run and its report to the bundle that you deploy."""
    from gliascope.commands.bundle import bundle as bundle_run
    from gliascope.recipes.run import Run

    bundle_run(Run.load(run), report, out)
    typer.echo(f"{out}")
