"""The report of a run: what it says (`ReportData`), as report.json and, for people, report.html."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliascope import RESEARCH_USE
from gliascope.files import write_text
from gliascope.pages import plots
from gliascope.pages.templates import render


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """One way to test, and what came out.

    description: one sentence, such as "The source's own test set; copies in training are not removed."
    result: of `metrics.evaluate_scores`; reliability: of `metrics.reliability`, on the same scores;
    accepted: of `metrics.accepted` at the confidence threshold of the bundle, if it has one.
    rounds: of `metrics.summarise_rounds`, where the protocol tests several models.
    leaky: whether copies or patients are on both sides by design.
    deployed: whether it tests the model that is deployed, and no other of the same recipe.
    """

    description: str
    result: Mapping[str, Any]
    reliability: Sequence[dict[str, Any]]
    accepted: Mapping[str, Any] | None = None
    rounds: Mapping[str, Any] | None = None
    leaky: bool = False
    deployed: bool = True


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong prediction. image and overlay (class-activation map): whole PNG or JPEG files."""

    file: str
    label: str
    predicted: str
    probability: float
    image: bytes
    overlay: bytes | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Slices by class of one source or of one part of the split. groups: None where they were not counted."""

    name: str
    slices: Mapping[str, int]
    groups: int | None = None

    @property
    def total(self) -> int:
        """Slices of all classes."""
        return sum(self.slices.values())


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything the report says. Optional parts that are empty leave their section out.

    created: ISO 8601 time. version: of gliascope.
    protocols: by name; the first is the headline.
    sources, parts: slices by class of each source, and of each part of the split (train, val, test).
    curves: a row an epoch: stage, epoch (counted through all stages), train_loss, train_accuracy, val_loss,
    val_accuracy (None: not measured).
    mistakes: most confident first, under the headline protocol.
    rejects: reason to number of files. recipe: YAML text in full.
    audit: the verdict of audit.json; decisions: which of them were applied, from which file.
    run, model: facts by name (seed, devices, wall time, versions …; parameters, size …); values may be maps.
    """

    title: str
    created: str
    version: str
    protocols: Mapping[str, ProtocolResult]
    sources: Sequence[Counts] = ()
    parts: Sequence[Counts] = ()
    curves: Sequence[dict[str, Any]] = ()
    chosen_epoch: int | None = None
    mistakes: Sequence[Mistake] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    recipe: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    decisions: str | None = None

    def __post_init__(self) -> None:
        if not self.protocols:
            raise ValueError("expected the result of at least one protocol but got none")

    def to_json(self) -> dict[str, Any]:
        """What report.json holds: all but the images. NaN and infinity become None."""
        tree = {
            "title": self.title,
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "protocols": {
                name: {
                    "description": protocol.description,
                    **protocol.result,
                    "reliability": protocol.reliability,
                    "accepted": protocol.accepted,
                    "rounds": protocol.rounds,
                    "leaky": protocol.leaky,
                    "deployed": protocol.deployed,
                }
                for name, protocol in self.protocols.items()
            },
            "sources": [_counts(source) for source in self.sources],
            "parts": [_counts(part) for part in self.parts],
            "rejects": self.rejects,
            "curves": self.curves,
            "chosen_epoch": self.chosen_epoch,
            "mistakes": [
                {
                    "file": mistake.file,
                    "label": mistake.label,
                    "predicted": mistake.predicted,
                    "probability": mistake.probability,
                }
                for mistake in self.mistakes
            ],
            "recipe": self.recipe,
            "run": self.run,
            "model": self.model,
            "audit": self.audit,
            "decisions": self.decisions,
        }
        return {key: _plain(value) for key, value in tree.items()}


def write_report(folder: Path | str, report: ReportData) -> None:
    """Write report.json and report.html into `folder`, each atomically; report.html needs no other file.

    Raises ValueError if an image is neither PNG nor JPEG, OSError if `folder` cannot be written.
    """
    data = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    page = render_report(report)
    write_text(Path(folder) / "report.json", _encodable(data) + "\n")
    write_text(Path(folder) / "report.html", _encodable(page))


def render_report(report: ReportData) -> str:
    """report.html as text. Raises ValueError if an image is neither PNG nor JPEG."""
    name, headline = next(iter(report.protocols.items()))
    figures = {"reliability": plots.reliability_diagram(headline.reliability)}
    if report.curves:
        for quantity in ("loss", "accuracy"):
            figures[quantity] = plots.training_curves(report.curves, quantity, report.chosen_epoch)
    return render(
        "report.html.j2",
        title=report.title,
        created=report.created,
        version=report.version,
        report=report,
        name=name,
        headline=headline,
        figures=figures,
    )


def _counts(counts: Counts) -> dict[str, Any]:
    return {"name": counts.name, "slices": counts.slices, "total": counts.total, "groups": counts.groups}


def _plain(value: Any) -> Any:
    """`value` as what JSON knows: maps, lists, text, numbers, None. Anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):  # a NumPy number
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _encodable(text: str) -> str:
    """`text` with "?" for what UTF-8 cannot hold: file names that are not valid text on this system."""
    return text.encode("utf-8", "replace").decode("utf-8")
