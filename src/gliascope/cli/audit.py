"""`gliascope audit`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile, finite


def audit(
    catalog: CatalogFile,
    out: Annotated[Path, typer.Option(help="Folder for audit.html and its tables.")] = Path("audit"),
    threshold: Annotated[
        float,
        typer.Option(
            min=0.9,
            max=1.0,
            callback=finite,
            help="Correlation of two slices from which they count as copies.",
        ),
    ] = 0.98,
    check_labels: Annotated[
        bool,
        typer.Option(
            "--check-labels/--no-check-labels", help="Look for wrong labels with a pretrained network."
        ),
    ] = True,
) -> None:
    """Find copies, leaks, label issues, shortcuts and quality issues in a catalogue, and give a verdict."""
    from gliascope.cli.tables import print_audit
    from gliascope.commands.audit import audit as audit_catalog
    from gliascope.commands.audit import write_audit
    from gliascope.dataset.catalog import Catalog
    from gliascope.runtime.files import check_writable

    slices = Catalog.load(catalog)
    check_writable(out)
    result = audit_catalog(slices, threshold, check_labels)
    write_audit(result, slices, out)
    print_audit(result)
    typer.echo(f"{out / 'audit.html'}")
