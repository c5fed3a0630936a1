"""The report of a run: what it says (`ReportData`), as report.json and, for people, report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliascope import RESEARCH_USE
from gliascope.data.audit.facts import AuditVerdict, SourceOverlap
from gliascope.data.ledger import Looks
from gliascope.data.studies import DESCRIPTION
from gliascope.pages import trust
from gliascope.pages.card import caveats
from gliascope.pages.checklist import answers, counts
from gliascope.pages.curves import QUANTITIES, leak, leak_sentence, training_curve
from gliascope.pages.discrimination import precision_recall_curves, roc_curves
from gliascope.pages.drawing import Drawing
from gliascope.pages.notes import merged_notes
from gliascope.pages.output import write_page
from gliascope.pages.templates import render


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """One way to test, and what came out.

    description: one sentence, such as "The source's own test set; copies in training are not removed."
    result: of `metrics.evaluate_scores`; reliability: of `metrics.reliability`, and subgroups: of
    `subgroups.evaluate_subgroups`, on the same scores.
    rounds: of `metrics.summarise_rounds`, where the protocol tests several models; under `repeats`, of the
    drawings, where those models are of several.
    leaky: whether copies or patients are on both sides by design.
    deployed: whether it tests the model that is deployed, and no other of the same recipe.
    operating, curves, studies: of `operating.operating_points`, `curves.evaluate_curves` and
    `studies.evaluate_studies`, on the same scores.
    calibration, sets, verdicts: as in `pipeline.trust`; the last two need a Calibrator.
    validation: of each round, what its validation slices did: `round`, and facts of `validation.Validation`.
    untested: of `untested.find_untested`: what the test could not tell.
    looks: how often other models were scored on these test slices before.
    """

    description: str
    result: Mapping[str, Any]
    reliability: Sequence[dict[str, Any]]
    rounds: Mapping[str, Any] | None = None
    leaky: bool = False
    deployed: bool = True
    subgroups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    operating: Mapping[str, Any] | None = None
    curves: Mapping[str, Any] = field(default_factory=dict)
    studies: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    sets: Mapping[str, Any] | None = None
    verdicts: Mapping[str, Any] | None = None
    validation: Sequence[Mapping[str, Any]] = ()
    untested: Mapping[str, Any] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)

    @property
    def notes(self) -> Sequence[str]:
        """What the test could not tell, and that it was looked at before, in sentences."""
        notes: Sequence[str] = self.untested.get("notes", ())
        return [*notes, str(self.looks)] if self.looks.models else notes


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
    audit: the verdict of audit.json, overlaps: its `between_sources`; decisions: which of them were applied,
    from which file. origins: what `sources.origin` knows of a source, by name; others are left out.
    run, model: facts by name (seed, devices, wall time, versions …; parameters, size …); values may be maps.
    foreign: whether someone else trained the model, on slices that are not known here.
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
    audit: AuditVerdict | None = None
    overlaps: Sequence[SourceOverlap] = ()
    decisions: str | None = None
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    foreign: bool = False

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
                    **protocol.untested,
                    "notes": list(protocol.notes),
                    "looks": protocol.looks.model_dump(),
                    "reliability": protocol.reliability,
                    "subgroups": protocol.subgroups,
                    "operating": protocol.operating,
                    "curves": protocol.curves,
                    "studies": protocol.studies,
                    "calibration": protocol.calibration,
                    "sets": protocol.sets,
                    "verdicts": protocol.verdicts,
                    "validation": protocol.validation,
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
            "audit": self.audit and self.audit.model_dump(mode="json"),
            "overlaps": [overlap.model_dump(mode="json") for overlap in self.overlaps],
            "decisions": self.decisions,
            "origins": self.origins,
            "foreign": self.foreign,
        }


def write_report(folder: Path | str, report: ReportData) -> None:
    """Write report.json and report.html into `folder`, each atomically; report.html needs no other file.

    Raises ValueError if an image is neither PNG nor JPEG, OSError if `folder` cannot be written.
    """
    write_page(folder, "report", report.to_json(), render_report(report))


def render_report(report: ReportData) -> str:
    """report.html as text. Raises ValueError if an image is neither PNG nor JPEG."""
    name, headline = next(iter(report.protocols.items()))
    content = report.to_json()
    claim = answers(content)
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
        notes=merged_notes({name: protocol.notes for name, protocol in report.protocols.items()}),
        reliability=_reliability(headline),
        coverage=trust.coverage(headline.sets["curve"], headline.sets["level"]) if headline.sets else None,
        outliers=trust.outlier_histogram(headline.verdicts["outlier_scores"]) if headline.verdicts else None,
        curves=curves,
        roc=roc_curves(headline.curves, headline.result) if headline.curves else None,
        precision_recall=precision_recall_curves(headline.curves) if headline.curves else None,
        aggregation=DESCRIPTION,
        leak=leak_sentence(report.leak) if report.leak else "",
        caveats=caveats(content),
        claim=claim,
        counts=counts(claim),
    )


def _reliability(headline: ProtocolResult) -> Drawing:
    before = headline.calibration and headline.calibration["before"]
    return trust.reliability_diagram(headline.reliability, before["reliability"] if before else None)


def _counts(counts: Counts) -> dict[str, Any]:
    return {"name": counts.name, "slices": counts.slices, "total": counts.total, "groups": counts.groups}
