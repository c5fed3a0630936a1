"""The audit page, audit.html, written for readers who have never heard of leakage."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from gliascope.audit import Audit
from gliascope.audit.facts import FolderLabels, ShortcutProbe, SourceFacts
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.identity import patient_sentences
from gliascope.reports.pages.galleries import Galleries
from gliascope.reports.pages.templates import render
from gliascope.reports.report import ClassCounts
from gliascope.splits.protocols import PROTOCOLS


@dataclass(frozen=True, slots=True)
class LeakTotals:
    """Test slices of all sources together.

    Attributes
    ----------
    tested
        All test slices.
    untransformed
        Those with a copy in training that needs no transform.
    any_transform
        Those with a copy in training, also mirrored, turned or cropped.
    """

    tested: int
    untransformed: int
    any_transform: int

    @classmethod
    def of(cls, sources: Iterable[SourceFacts]) -> "LeakTotals":
        """Add up the sources' counts."""
        sources = list(sources)
        return cls(
            sum(source.test_slices or 0 for source in sources),
            sum(source.test_slices_with_training_twin or 0 for source in sources),
            sum(source.test_slices_with_training_twin_any_transform or 0 for source in sources),
        )


def render_audit(audit: Audit, catalog: Catalog) -> str:
    """Render audit.html.

    Parameters
    ----------
    audit
        The audit.
    catalog
        The catalogue that was audited; its files are read for the pictures.

    Returns
    -------
    str
        The whole page.
    """
    facts, galleries = audit.facts, Galleries(audit, catalog)
    conflicts = galleries.conflicts()
    folders = sorted(facts.label_issues.items(), key=_flagged_first)
    probes = {name.replace("_", " ").capitalize(): probe for name, probe in facts.shortcuts.items()}
    protocol = PROTOCOLS.get(facts.verdict.protocol)
    return render(
        "audit.html.j2",
        title=facts.title,
        created=facts.created,
        version=facts.gliascope,
        facts=facts,
        protocol=protocol.description if protocol else "",
        leaks=LeakTotals.of(facts.sources.values()),
        leak_pairs=galleries.pairs(galleries.leaks()),
        shared_slices=galleries.count_shared_slices(),
        shared_pairs=galleries.pairs(galleries.between_sources()),
        conflicts=conflicts.height,
        conflict_pairs=galleries.pairs(conflicts),
        label_issues=galleries.label_issues([name for name, folder in folders if folder.flagged]),
        folders=folders,
        probes=probes,
        above_chance=sum(map(_exceeds_chance, probes.values())),
        patients=patient_sentences(facts.patients),
        groups=[(group, galleries.file_pictures(group.paths)) for group in facts.groups.largest],
        quality_issues={kind: galleries.quality_issues(kind) for kind in facts.quality_issues},
        doubtful=galleries.doubtful_pairs(),
        classes=catalog.classes,
        balance=class_balance(catalog.frame),
    )


def class_balance(frame: pl.DataFrame) -> list[ClassCounts]:
    """Count slices by class: of each source, of all, of distinct ones, and of the merged set."""
    rows = [(name, frame.filter(source=name)) for name in frame["source"].unique(maintain_order=True)]
    if len(rows) > 1:
        rows.append(("all sources", frame))
    rows.append(("without identical copies", frame.unique(("pixel_hash", "label"))))
    if frame["exclusion_reason"].is_not_null().any():
        rows.append(("merged", frame.filter(pl.col("exclusion_reason").is_null())))
    return [
        ClassCounts.of(name, dict(part["label"].value_counts().sort("label").rows())) for name, part in rows
    ]


def _flagged_first(folder: tuple[str, FolderLabels]) -> tuple[bool, float]:
    return not folder[1].flagged, -folder[1].share


def _exceeds_chance(probe: ShortcutProbe) -> bool:
    return probe.score.low is not None and probe.score.low > probe.chance
