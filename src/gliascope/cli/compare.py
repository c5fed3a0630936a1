"""`gliascope compare`."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `run` or `evaluate` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for compare.html, .json and .png.")],
    protocol: Annotated[
        str | None,
        typer.Option(help="A protocol that all runs have; by default the first one of the first run."),
    ] = None,
) -> None:
    """Compare runs on the same test slices: accuracy, significance, training time, size, latency."""
    from gliascope.cli.tables import print_comparison
    from gliascope.commands.compare import compare as compare_runs

    compare_runs(runs, out, protocol)
    print_comparison(out)
