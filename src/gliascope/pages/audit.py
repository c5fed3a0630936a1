"""audit.html from an Audit: what was found in a dataset, for someone who has never heard of leakage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from gliascope.data.audit import Audit
from gliascope.data.catalog import Catalog
from gliascope.data.identity import patient_sentences
from gliascope.data.protocols import PROTOCOLS
from gliascope.pages.galleries import Galleries
from gliascope.pages.templates import render
from gliascope.reports.report import ClassCounts


@dataclass(frozen=True, slots=True)
class Leaks:
    """Test slices with a copy in training, over all sources that have a test set of their own."""

    tested: int
    plain: int
    any_transform: int

    @classmethod
    def of(cls, sources: Mapping[str, Mapping[str, Any]]) -> "Leaks":
        """Add up the `sources` of audit.json."""
        keys = (
            "test_slices",
            "test_slices_with_training_twin",
            "test_slices_with_training_twin_any_transform",
        )
        return cls(*(sum(source[key] or 0 for source in sources.values()) for key in keys))


def render_audit(audit: Audit, catalog: Catalog) -> str:
    """audit.html as text. `catalog`: the one that was audited; its files are read for the pictures."""
    facts, galleries = audit.facts, Galleries(audit, catalog)
    conflicts = galleries.conflicts()
    folders = sorted(facts["suspect_labels"].items(), key=_suspicion)
    hints = [(_title(name), probe, _honest(probe)) for name, probe in facts["shortcuts"].items()]
    protocol = PROTOCOLS.get(facts["verdict"]["protocol"])
    return render(
        "audit.html.j2",
        title=facts["title"],
        created=facts["created"],
        version=facts["gliascope"],
        facts=facts,
        protocol=protocol.description if protocol else "",
        leaks=Leaks.of(facts["sources"]),
        leak_pairs=galleries.pairs(galleries.leaks()),
        shared_slices=galleries.shared_slices(),
        shared_pairs=galleries.pairs(galleries.shared()),
        conflicts=conflicts.height,
        conflict_pairs=galleries.pairs(conflicts),
        suspects=galleries.suspects([name for name, row in folders if row["flagged"]]),
        folders=folders,
        hints=hints,
        patients=patient_sentences(facts.get("patients", {})),
        telling=sum(_beats_chance(probe, score) for _, probe, score in hints),
        groups=[
            group | {"pictures": galleries.files(group["paths"])} for group in facts["groups"]["largest"]
        ],
        oddities={kind: galleries.oddities(kind) for kind in facts["oddities"]},
        doubtful=galleries.doubtful(),
        classes=catalog.classes,
        balance=balance(catalog.frame),
    )


def balance(frame: pl.DataFrame) -> list[ClassCounts]:
    """Slices by class of each source, then of all; then distinct ones, and what a merged set keeps."""
    rows = [(name, frame.filter(source=name)) for name in frame["source"].unique(maintain_order=True)]
    if len(rows) > 1:
        rows.append(("all sources", frame))
    rows.append(("without identical copies", frame.unique(("pixel_hash", "label"))))
    if frame["set_aside"].is_not_null().any():
        rows.append(("kept when merged", frame.filter(pl.col("set_aside").is_null())))
    return [
        ClassCounts.of(name, dict(part["label"].value_counts().sort("label").rows())) for name, part in rows
    ]


def _suspicion(folder: tuple[str, Mapping[str, Any]]) -> tuple[bool, float]:
    return not folder[1]["flagged"], -folder[1]["share"]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _honest(probe: Mapping[str, Any]) -> Mapping[str, float | None]:
    """The score that no copies help."""
    score: Mapping[str, float | None] = probe["without_copies"] or probe["balanced_accuracy"]
    return score


def _beats_chance(probe: Mapping[str, Any], score: Mapping[str, float | None]) -> bool:
    return score["low"] is not None and score["low"] > probe["chance"]
