"""List the runs below a folder, with the results of their reports."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gliascope.errors import ReportError, RunError
from gliascope.evaluation.estimate import Estimate
from gliascope.recipes.run import Run
from gliascope.reports.report import ProtocolReport, Report
from gliascope.runtime.progress import note


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run in the list; the accuracy is that of its report, over all folds of its protocol."""

    trained: Run
    finished: bool
    chosen_epoch: int | None  # epoch, from 1
    val_accuracy: float | None
    accuracy: Estimate | None
    seconds: float | None


SORT_KEYS: dict[str, Callable[[RunEntry], Any]] = {
    "date": lambda entry: entry.trained.record.started or "",
    "accuracy": lambda entry: -(entry.accuracy.value or 0.0) if entry.accuracy else 1,
    "val_accuracy": lambda entry: 1 if entry.val_accuracy is None else -entry.val_accuracy,
    "recipe": lambda entry: (entry.trained.recipe.name, entry.trained.recipe.seed),
    "protocol": lambda entry: entry.trained.record.protocol,
    "seconds": lambda entry: float("inf") if entry.seconds is None else entry.seconds,
}


def list_runs(folder: Path, sort: str = "date") -> list[RunEntry]:
    """List every run below a folder, sorted by one of SORT_KEYS; damaged runs are skipped with a note.

    Raises RunError if there is no run, or `sort` is not one of SORT_KEYS.
    """
    if sort not in SORT_KEYS:
        raise RunError(f"--sort {sort}: choose from {', '.join(SORT_KEYS)}")
    entries = []
    for path in sorted(folder.rglob("run.json")):
        if path.parent.parent.name == "members":  # of an ensemble, which is a run itself
            continue
        try:
            entries.append(_entry(Run.load(path.parent)))
        except RunError as error:
            note(str(error))
    if not entries:
        raise RunError(f"{folder}: no run in this folder or below; make one with `gliascope run` or `train`")
    return sorted(entries, key=SORT_KEYS[sort])


def protocol_report_of(trained: Run) -> ProtocolReport | None:
    """Return the results of a run's protocol from the report in or beside its folder, or None."""
    recipe = yaml.safe_dump(trained.recipe.model_dump(mode="json"), sort_keys=False)
    for folder in (trained.folder, trained.folder.parent):
        if not (folder / Report.file).exists():
            continue
        try:
            report = Report.load(folder / Report.file)
        except ReportError as error:
            note(str(error))
            continue
        if report.recipe == recipe:
            return report.protocols.get(trained.record.protocol)
    return None


def _entry(trained: Run) -> RunEntry:
    results = trained.record.results
    finished = results is not None and trained.model.exists()
    history = trained.history() if (trained.folder / "metrics.csv").exists() else []
    chosen = results.chosen_row if results else None
    report = protocol_report_of(trained) if finished else None
    return RunEntry(
        trained,
        finished,
        None if chosen is None else chosen + 1,
        history[chosen].val_accuracy if chosen is not None else None,
        report.accuracy if report else None,
        results.seconds if results else sum(row.seconds for row in history),
    )
