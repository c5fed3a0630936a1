"""Run + Report in, Bundle out."""

from dataclasses import replace
from pathlib import Path

from gliascope.errors import RunError
from gliascope.inference.bundle import Bundle, HeadlineMetrics
from gliascope.recipes.run import Run
from gliascope.reports.pages.card import model_card
from gliascope.reports.report import Report


def bundle(trained: Run, report: Path, folder: Path) -> None:
    """Join the exported model with its report's numbers and a model card.

    Raises RunError where the run is unfinished, or the report is of another run; ReportError where the report
    is missing or damaged.
    """
    trained.check_finished()
    model = Bundle.load(trained.model)
    content = Report.load(report)
    if content.model.sha256 != model.info.model_sha256:
        raise RunError(f"{report}: is the report of another run; evaluate {trained.folder} first")
    metrics = {
        name: HeadlineMetrics.model_validate(result.model_dump(include=set(HeadlineMetrics.model_fields)))
        for name, result in content.protocols.items()
        if result.deployed
    }
    info = model.info.model_copy(update={"metrics": metrics})
    replace(model, info=info).write(folder, model_card(info, content))
