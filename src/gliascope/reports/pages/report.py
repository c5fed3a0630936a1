"""The report page, report.html."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gliascope.evaluation.aggregation import AGGREGATION_DESCRIPTION
from gliascope.reports.pages import trust
from gliascope.reports.pages.card import caveats
from gliascope.reports.pages.checklist import check_items, count_states
from gliascope.reports.pages.curves import QUANTITIES, leak_sentence, training_curve
from gliascope.reports.pages.discrimination import precision_recall_curves, roc_curves
from gliascope.reports.pages.drawing import Drawing
from gliascope.reports.pages.notes import merged_notes
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.templates import render
from gliascope.reports.report import ProtocolReport, Report


@dataclass(frozen=True, slots=True)
class MistakePicture:
    """A misclassified slice and its class activation map, as PNG or JPEG files."""

    image: bytes
    overlay: bytes | None = None


def write_report(folder: Path, report: Report, pictures: Sequence[MistakePicture] = ()) -> None:
    """Write report.json and report.html into `folder`, each atomically; report.html needs no other file.

    Parameters
    ----------
    folder
        Where to write.
    report
        The report.
    pictures
        One for each of the report's mistakes, in their order.

    Raises
    ------
    ValueError
        If an image is neither PNG nor JPEG.
    OSError
        If `folder` cannot be written.
    """
    write_document(folder, report, render_report(report, pictures))


def render_report(report: Report, pictures: Sequence[MistakePicture] = ()) -> str:
    """Render report.html.

    Raises
    ------
    ValueError
        If an image is neither PNG nor JPEG.
    """
    name, headline = next(iter(report.protocols.items()))
    claim = check_items(report)
    curves: dict[str, Drawing] = {}
    if report.curves:
        curves = {
            quantity: training_curve(report.curves, quantity, report.chosen_epoch) for quantity in QUANTITIES
        }
    return render(
        "report.html.j2",
        title=report.title,
        created=report.created,
        version=report.gliascope,
        report=report,
        run=report.run and report.run.model_dump(mode="json", exclude_none=True),
        model=report.model.model_dump(mode="json", exclude_none=True),
        mistakes=list(zip(report.mistakes, pictures, strict=True)),
        name=name,
        headline=headline,
        notes=merged_notes({name: protocol.notes for name, protocol in report.protocols.items()}),
        reliability=_reliability(headline),
        coverage=trust.coverage(headline.sets.curve, headline.sets.level) if headline.sets else None,
        outliers=trust.outlier_histogram(headline.verdicts.outlier_scores) if headline.verdicts else None,
        curves=curves,
        roc=roc_curves(headline.curves, headline) if headline.curves else None,
        precision_recall=precision_recall_curves(headline.curves) if headline.curves else None,
        aggregation=AGGREGATION_DESCRIPTION,
        leak=leak_sentence(report.leak) if report.leak else "",
        caveats=caveats(report),
        claim=claim,
        counts=count_states(claim),
    )


def _reliability(headline: ProtocolReport) -> Drawing:
    before = headline.calibration and headline.calibration.before
    return trust.reliability_diagram(headline.reliability, before.reliability if before else None)
