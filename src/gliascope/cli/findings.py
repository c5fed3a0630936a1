"""Print findings as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gliascope.inference.predict_files import FilePredictions
    from gliascope.uncertainty.calibrator import CalibratorInfo

MAX_ROWS = 40


def print_findings(predictions: FilePredictions, calibrator: CalibratorInfo | None) -> None:
    """Print the first findings, all studies, counts by label and verdict, and the unreadable files."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from gliascope import RESEARCH_USE
    from gliascope.evaluation.aggregation import AGGREGATION_DESCRIPTION
    from gliascope.runtime.folders import printable
    from gliascope.runtime.formats import percent
    from gliascope.uncertainty.calibrator import OUT_OF_SCOPE

    console = Console(highlight=False)
    slices = [finding for finding in predictions.findings if finding.slice is not None]
    studies = [finding for finding in predictions.findings if finding.slice is None]
    heads = (Column("file", overflow="fold"), "slice", "label", "probability", "prediction set", "verdict")
    table = Table(*heads, title=RESEARCH_USE)
    for finding in slices[:MAX_ROWS] + studies:
        index = "study" if finding.slice is None else str(finding.slice)
        among = "–" if finding.prediction_set is None else ", ".join(finding.prediction_set) or "empty"
        name = escape(printable(str(finding.file)))
        label, probability = finding.label, percent(finding.probabilities[finding.label])
        if finding.slice is None and finding.verdict == OUT_OF_SCOPE:
            label = probability = "–"  # the model's label means nothing out of scope
        verdict = f"{finding.verdict} ({finding.kind})" if finding.kind else finding.verdict
        table.add_row(name, index, label, probability, among, verdict)
    console.print(table)
    if len(slices) > MAX_ROWS:
        counts = Counter((finding.label, finding.verdict) for finding in slices)
        console.print(
            f"{len(slices)} slices, of which the first {MAX_ROWS} are listed; all by label and verdict:"
        )
        for (label, verdict), count in sorted(counts.items()):
            console.print(f"  {label}, {verdict}: {count}")
    if calibrator:
        console.print(
            f"Prediction sets hold the true class for {percent(calibrator.level)} of patients, if these are "
            "like the patients that the model was calibrated on. uncertain: the set does not hold "
            "exactly one class; out of scope: unlike all slices that the model was trained on."
        )
    if studies:
        console.print(
            f"A study's probabilities are {AGGREGATION_DESCRIPTION}. It is out of scope where fewer than "
            "half of its slices are in scope, and otherwise unchecked, because nothing has been calibrated "
            "for studies."
        )
    for note, count in Counter(note for finding in slices for note in finding.notes).items():
        console.print(f"note, of {count} slices: {note}", markup=False)
    print_unreadable(predictions)


def print_findings_folder(out: Path, predictions: FilePredictions) -> None:
    """Print counts of the findings in a folder of Parquet files, and the unreadable files."""
    import polars as pl
    from rich.console import Console

    from gliascope import RESEARCH_USE
    from gliascope.inference.findings_table import read_findings

    console = Console(highlight=False)
    counted = read_findings(out).filter(pl.col("slice").is_not_null()).group_by("label", "verdict").len()
    console.print(f"{out}: findings of slices; {RESEARCH_USE}")
    for label, verdict, count in counted.sort("label", "verdict").collect().iter_rows():
        console.print(f"  {label}, {verdict}: {count}", markup=False)
    notes = read_findings(out).filter(pl.col("slice").is_not_null()).explode("notes").drop_nulls("notes")
    for note, count in notes.group_by("notes").len().sort("notes").collect().iter_rows():
        console.print(f"note, of {count} slices: {note}", markup=False)
    print_unreadable(predictions)


def print_unreadable(predictions: FilePredictions) -> None:
    """Print the first unreadable files, and how many there are."""
    from rich.console import Console

    from gliascope.runtime.folders import printable

    errors = Console(stderr=True, highlight=False)
    for error in predictions.unreadable[:10]:
        errors.print(f"not read: {printable(str(error))}", markup=False)
    if predictions.unreadable:
        errors.print(f"{len(predictions.unreadable)} files could not be read and were skipped")
