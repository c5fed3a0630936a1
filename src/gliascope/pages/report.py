"""The report of a run: what it says (`ReportData`), as report.json and, for people, report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliascope import RESEARCH_USE
from gliascope.pages import plots
from gliascope.pages.curves import QUANTITIES, leak, leak_sentence, training_curve
from gliascope.pages.drawing import Drawing
from gliascope.pages.output import write_page
from gliascope.pages.templates import render


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """One way to test, and what came out.

    description: one sentence, such as "The source's own test set; copies in training are not removed."
    result: of `metrics.evaluate_scores`; reliability: of `metrics.reliability`, and subgroups: of
    `subgroups.evaluate_subgroups`, on the same scores; accepted: of `metrics.accepted` at the confidence
    threshold of the bundle, if it has one.
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
    subgroups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
    curves: a row an epoch: stage, epoch (counted through all stages), lr, train_loss, train_accuracy,
    val_loss, val_accuracy and, where the test part was watched, test_accuracy (None: not measured).
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

    @property
    def leak(self) -> dict[str, float | int] | None:
        """As `curves.leak`: None where the test part had no say in anything."""
        return leak(self.curves, self.chosen_epoch)

    def to_json(self) -> dict[str, Any]:
        """What report.json holds: all but the images."""
        return {
            "title": self.title,
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "protocols": {
                name: {
                    "description": protocol.description,
                    **protocol.result,
                    "reliability": protocol.reliability,
                    "subgroups": protocol.subgroups,
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
            "leak": self.leak,
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


def write_report(folder: Path | str, report: ReportData) -> None:
    """Write report.json and report.html into `folder`, each atomically; report.html needs no other file.

    Raises ValueError if an image is neither PNG nor JPEG, OSError if `folder` cannot be written.
    """
    write_page(folder, "report", report.to_json(), render_report(report))


def render_report(report: ReportData) -> str:
    """report.html as text. Raises ValueError if an image is neither PNG nor JPEG."""
    name, headline = next(iter(report.protocols.items()))
    curves: dict[str, Drawing] = {}
    if report.curves:
        curves = {
            quantity: training_curve(report.curves, quantity, report.chosen_epoch) for quantity in QUANTITIES
        }
    return render(
        "report.html.j2",
        title=report.title,
        created=report.created,
        version=report.version,
        report=report,
        name=name,
        headline=headline,
        reliability=plots.reliability_diagram(headline.reliability),
        curves=curves,
        leak=leak_sentence(report.leak) if report.leak else "",
    )


def _counts(counts: Counts) -> dict[str, Any]:
    return {"name": counts.name, "slices": counts.slices, "total": counts.total, "groups": counts.groups}
