"""Findings as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gliascope.inference.job import Job

ROWS = 40


def print_findings(job: Job) -> None:
    """Print the first findings, all studies, a count by label and verdict, and the files set aside."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from gliascope import RESEARCH_USE
    from gliascope.data.folders import printable
    from gliascope.pages.formats import percent

    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    slices = [finding for finding in job.findings if finding.slice is not None]
    studies = [finding for finding in job.findings if finding.slice is None]
    table = Table(
        Column("file", overflow="fold"), "slice", "label", "probability", "verdict", title=RESEARCH_USE
    )
    for finding in slices[:ROWS] + studies:
        index = "study" if finding.slice is None else str(finding.slice)
        probability = percent(finding.probabilities[finding.label])
        table.add_row(
            escape(printable(str(finding.file))), index, finding.label, probability, finding.verdict
        )
    console.print(table)
    if len(slices) > ROWS:
        counts = Counter((finding.label, finding.verdict) for finding in slices)
        console.print(f"{len(slices)} slices, the first {ROWS} shown; in all:")
        for (label, verdict), count in sorted(counts.items()):
            console.print(f"  {label}, {verdict}: {count}")
    if studies:
        console.print("A study's probabilities are the mean of its slices'.")
    for error in job.rejects[:10]:
        errors.print(f"set aside: {escape(printable(str(error)))}")
    if job.rejects:
        errors.print(f"{len(job.rejects)} files could not be read and were set aside")
