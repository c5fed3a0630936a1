"""Write figures as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gliascope.reports.pages.curves import training_sheet
from gliascope.reports.pages.drawing import Drawing
from gliascope.reports.pages.plots import PredictionExample, confusion, predictions
from gliascope.reports.report import Report
from gliascope.runtime.files import atomic_file


def write_figures(folder: Path, report: Report, examples: Sequence[PredictionExample]) -> None:
    """Write the figures of a report.

    Parameters
    ----------
    folder
        Gets confusion.png of the first protocol, predictions.png and, if the model has training curves,
        curves.png.
    report
        The report.
    examples
        The slices of predictions.png.
    """
    name, headline = next(iter(report.protocols.items()))
    figures = {"confusion": confusion(headline, name), "predictions": predictions(examples)}
    if report.curves:
        figures["curves"] = training_sheet(report.curves, report.chosen_epoch)
    write_pngs(folder, figures)


def write_pngs(folder: Path, figures: Mapping[str, Drawing]) -> None:
    """Write each figure as NAME.png, atomically."""
    for name, figure in figures.items():
        with atomic_file(folder / f"{name}.png") as temporary:
            temporary.write_bytes(figure.png())
