"""Run + Report in, Bundle out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from gliascope.errors import RunError
from gliascope.inference.bundle import Bundle
from gliascope.pages.card import model_card
from gliascope.recipes.run import Run

HEADLINE = ("leaky", "n", "accuracy", "balanced_accuracy", "macro_auroc", "ece", "brier")


def bundle(trained: Run, report: Path, folder: Path) -> None:
    """Join the exported model with its report's numbers and a model card.

    Raises RunError where the run is unfinished, or the report is missing, damaged or of another run.
    """
    trained.check_finished()
    model = Bundle.load(trained.model)
    content = _read_report(report)
    if content["model"].get("sha256") != model.info.model_sha256:
        raise RunError(f"{report}: is the report of another run; evaluate {trained.folder} first")
    metrics = {
        name: {key: result[key] for key in HEADLINE}
        for name, result in content["protocols"].items()
        if result["deployed"]
    }
    info = model.info.model_copy(update={"metrics": metrics})
    replace(model, info=info).write(folder, model_card(info.model_dump(mode="json"), content))


def _read_report(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a report ({error}); make one with `gliascope evaluate`") from None
    missing = {"protocols", "run", "model", "origins"} - set(content)
    if missing:
        raise RunError(f"{path}: lacks {', '.join(sorted(missing))}; make it again with `gliascope evaluate`")
    return content
