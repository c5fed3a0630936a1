"""`gliascope evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile, RunFolder, SplitFile


def evaluate(
    run: RunFolder,
    catalog: CatalogFile,
    split: SplitFile,
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path(),
) -> None:
    """Score a run's exported model on the test part and write the report."""
    from gliascope.cli.tables import print_report
    from gliascope.data.catalog import Catalog
    from gliascope.data.split import Split
    from gliascope.pipeline.evaluate import evaluate as evaluate_run
    from gliascope.recipes.run import Run

    evaluate_run(Run.load(run), Catalog.load(catalog), Split.load(split), out)
    print_report(out)
