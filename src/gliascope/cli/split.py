"""`gliascope split`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import (
    AuditFolder,
    CatalogFile,
    DecisionsFile,
    Protocols,
    Repeats,
    Seed,
    Validation,
    comma_separated,
)


def split(
    catalog: CatalogFile,
    *,
    out: Annotated[Path, typer.Option(help="The file of splits to write.")] = Path("split.parquet"),
    protocol: Protocols = None,
    audit: AuditFolder = None,
    decisions: DecisionsFile = None,
    seed: Seed = 0,
    repeats: Repeats = 1,
    validation: Validation = 0.1,
) -> None:
    """Divide a catalogue into training, validation and test subsets, under one or several protocols."""
    from gliascope.audit import Audit
    from gliascope.audit.decisions import Decisions
    from gliascope.cli.tables import print_split
    from gliascope.dataset.catalog import Catalog
    from gliascope.splits.split import split as split_catalog
    from gliascope.splits.split import write_splits

    audited = Audit.load(audit) if audit else None
    decided = Decisions.load(decisions) if decisions else None
    names = comma_separated(protocol) if protocol is not None else None
    splits = split_catalog(
        Catalog.load(catalog),
        names,
        seed=seed,
        audit=audited,
        decisions=decided,
        validation_share=validation,
        repeats=repeats,
    )
    write_splits(splits, out)
    for result in splits:
        print_split(result)
    if decided:
        typer.echo(decided.summary)
    typer.echo(f"{out}")
