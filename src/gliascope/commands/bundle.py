"""Join a finished run and its report to the bundle that is deployed."""

from dataclasses import replace
from pathlib import Path

from gliascope.errors import RunError
from gliascope.inference.bundle import Bundle, HeadlineMetrics
from gliascope.recipes.run import Run
from gliascope.reports.pages.card import model_card
from gliascope.reports.report import Report


def bundle(trained: Run, report: Path, folder: Path) -> None:
    """Write a bundle: the exported model of a run, the headline numbers of its report, and a model card.

    Parameters
    ----------
    trained
        A finished run.
    report
        The report.json of this run.
    folder
        Where the bundle is written.

    Raises
    ------
    RunError
        If the run is unfinished, or the report belongs to another run.
    ReportError
        If the report is missing or damaged.
    """
    trained.check_finished()
    model = Bundle.load(trained.model)
    content = Report.load(report)
    if content.model.sha256 != model.info.model_sha256:
        raise RunError(
            f"{report}: belongs to another run; run `gliascope evaluate` on {trained.folder} first"
        )
    metrics = {
        name: HeadlineMetrics.model_validate(result.model_dump(include=set(HeadlineMetrics.model_fields)))
        for name, result in content.protocols.items()
        if result.deployed
    }
    info = model.info.model_copy(update={"metrics": metrics})
    replace(model, info=info).write(folder, model_card(info, content))
