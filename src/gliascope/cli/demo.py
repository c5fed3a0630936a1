"""`gliascope demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(out: Annotated[Path, typer.Option(help="Folder for all results.")] = Path("demo")) -> None:
    """Make synthetic slices and run all steps on them, in a few minutes."""
    from gliascope.cli.tables import print_report
    from gliascope.commands.run import demo as run_demo

    run_demo(out)
    print_report(out)
