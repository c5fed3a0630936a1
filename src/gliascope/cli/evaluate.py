"""`gliascope evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import AuditFolder, CatalogFile, SplitFile, protocol_names


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Runs that `train` wrote, one for each training.")],
    catalog: CatalogFile,
    split: SplitFile,
    protocol: Annotated[
        str | None, typer.Option(help="Of the protocols in the split, only these; several with commas.")
    ] = None,
    audit: AuditFolder = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path(),
) -> None:
    """Score exported models on the test parts of all protocols in the split and write the report."""
    from gliascope.cli.tables import print_report
    from gliascope.data.audit import Audit
    from gliascope.data.catalog import Catalog
    from gliascope.data.split import load_splits
    from gliascope.pipeline.evaluate import evaluate as evaluate_runs
    from gliascope.recipes.run import Run

    trained = [Run.load(run) for run in runs]
    found = Audit.load(audit) if audit else None
    splits = load_splits(split, protocol_names(protocol) if protocol else None)
    evaluate_runs(trained, Catalog.load(catalog), splits, out, found)
    print_report(out)
