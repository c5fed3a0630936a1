"""Figures beside the report, as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gliascope.reports.pages.curves import training_sheet
from gliascope.reports.pages.drawing import Drawing
from gliascope.reports.pages.plots import PredictionExample, confusion, predictions
from gliascope.reports.report import Report
from gliascope.runtime.files import atomic_file


def write_figures(folder: Path, report: Report, shown: Sequence[PredictionExample]) -> None:
    """Write confusion.png of the first protocol, predictions.png and, where there are curves, curves.png."""
    name, headline = next(iter(report.protocols.items()))
    figures = {"confusion": confusion(headline, name), "predictions": predictions(shown)}
    if report.curves:
        figures["curves"] = training_sheet(report.curves, report.chosen_epoch)
    write_pngs(folder, figures)


def write_pngs(folder: Path, figures: Mapping[str, Drawing]) -> None:
    """Write each as NAME.png, atomically."""
    for name, figure in figures.items():
        with atomic_file(folder / f"{name}.png") as temporary:
            temporary.write_bytes(figure.png())
