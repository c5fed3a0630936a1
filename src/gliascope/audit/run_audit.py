"""The audit itself: a catalogue in, an `Audit` out."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope import RESEARCH_USE, __version__
from gliascope.audit.copies import THRESHOLD, find_near_copies, thumbnail_array
from gliascope.audit.copy_groups import cut_chains, group_copies, group_slices, rows_of_pairs
from gliascope.audit.facts import (
    AuditFacts,
    CopyCounts,
    FolderLabels,
    GroupCounts,
    GroupFacts,
    LabelCheck,
    SearchSettings,
)
from gliascope.audit.label_issues import LABEL_ISSUES_SCHEMA, find_label_issues
from gliascope.audit.leaks import count_leaks, count_mixed_labels, source_overlaps
from gliascope.audit.proposals import (
    propose_for_conflicts,
    propose_for_doubtful_pairs,
    propose_for_label_issues,
)
from gliascope.audit.quality_issues import find_quality_issues
from gliascope.audit.result import Audit
from gliascope.audit.shortcuts import find_shortcuts
from gliascope.audit.vectors import low_frequencies
from gliascope.audit.verdict import make_verdict
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.identity import patient_counts

DOUBT = 0.01  # correlation below the threshold from which a person is asked about a pair
LARGEST = 10  # groups that are described
SEED = 0

Embeddings = NDArray[np.float32]


def run_audit(
    catalog: Catalog,
    threshold: float = THRESHOLD,
    embeddings: Embeddings | None = None,
    unchecked: str = "",
) -> Audit:
    """Find copies, leaks, contradicting labels, label issues, shortcuts and quality issues in a catalogue.

    Parameters
    ----------
    catalog
        The slices to audit.
    threshold
        Correlation of two thumbnails from which slices are near copies.
    embeddings
        Output of a frozen network for each distinct slice, float32 (distinct slices, d), in the order of
        sorted pixel hashes. Without it labels are not checked.
    unchecked
        The reason for which labels are not checked, as the audit page shows it.
    """
    frame = catalog.with_thumbnails()
    pairs, doubtful, recall = _find_copies(frame, threshold)
    groups = group_slices(frame, pairs)
    frame = frame.with_columns(group=pl.Series(groups), copies=pl.Series(group_copies(frame, pairs)))
    quality_issues = find_quality_issues(frame, groups, SEED)
    label_issues, folders = _check_labels(frame, embeddings)
    decisions = pl.concat(
        [
            propose_for_conflicts(frame, pairs),
            propose_for_label_issues(label_issues),
            propose_for_doubtful_pairs(frame, doubtful),
        ]
    )
    facts = _gather_facts(
        frame,
        pairs,
        settings=SearchSettings(
            threshold=threshold, doubtful_from=threshold - DOUBT, recall_of_search=recall
        ),
        label_check=LabelCheck(done=embeddings is not None, reason=unchecked),
        label_issues=folders,
        quality_issues=_count_kinds(quality_issues),
        decisions=_count_kinds(decisions),
    )
    distinct = frame.select("pixel_hash", "group").unique("pixel_hash", keep="first", maintain_order=True)
    return Audit(facts, distinct, pairs, quality_issues, decisions)


def _gather_facts(
    frame: pl.DataFrame,
    pairs: pl.DataFrame,
    *,
    settings: SearchSettings,
    label_check: LabelCheck,
    label_issues: dict[str, FolderLabels],
    quality_issues: dict[str, int],
    decisions: dict[str, int],
) -> AuditFacts:
    """Count copies, leaks and groups, measure shortcuts, and reach the verdict.

    frame: catalogue rows with columns `group` and `copies`. pairs: near copies. All others are
    fields of the facts.
    """
    sources, overlaps = count_leaks(frame, pairs), source_overlaps(frame, pairs)
    shortcuts = find_shortcuts(frame, frame["group"].to_numpy(), SEED)
    groups = _count_groups(frame, pairs)
    return AuditFacts(
        title=f"Audit of {', '.join(frame['source'].unique(maintain_order=True))}",
        notice=RESEARCH_USE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gliascope=__version__,
        slices=frame.height,
        distinct_slices=frame["pixel_hash"].n_unique(),
        settings=settings,
        sources=sources,
        between_sources=overlaps,
        copies=_count_copies(frame, pairs),
        groups=groups,
        patients=patient_counts(frame),
        shortcuts=shortcuts,
        label_check=label_check,
        label_issues=label_issues,
        quality_issues=quality_issues,
        decisions=decisions,
        verdict=make_verdict(
            sources=sources,
            between_sources=overlaps,
            shortcuts=shortcuts,
            label_issues=label_issues,
            mixed_label_groups=groups.mixed_labels,
            labels_checked=label_check.done,
        ),
    )


def _find_copies(frame: pl.DataFrame, threshold: float) -> tuple[pl.DataFrame, pl.DataFrame, float | None]:
    """Near copies, doubtful pairs between two groups, and the recall of the search.

    Both tables are in the columns of `result.PAIRS_SCHEMA`; links of chains are marked `cut`.
    """
    distinct = frame.unique("pixel_hash", keep="first", maintain_order=True)
    found, recall = find_near_copies(distinct, threshold, DOUBT)
    pairs = found.filter(pl.col("correlation") >= threshold)
    first, second = rows_of_pairs(distinct["pixel_hash"], pairs)
    low = low_frequencies(thumbnail_array(distinct["thumbnail"]))
    # Chains are looked for among copies alone: the ends of one patient's volume are unlike, and yet together.
    cut = cut_chains(first, second, pairs["correlation"].to_numpy(), low)
    pairs = pairs.with_columns(cut=pl.Series(cut))
    groups = frame.select("pixel_hash", group=pl.Series(group_slices(frame, pairs))).unique(
        "pixel_hash", keep="first"
    )
    doubtful = (
        found.filter(pl.col("correlation") < threshold)
        .join(groups.rename({"pixel_hash": "a", "group": "group_a"}), on="a")
        .join(groups.rename({"pixel_hash": "b", "group": "group_b"}), on="b")
        .filter(pl.col("group_a") != pl.col("group_b"))
    )
    return pairs, doubtful.select(found.columns), recall


def _check_labels(
    frame: pl.DataFrame, embeddings: Embeddings | None
) -> tuple[pl.DataFrame, dict[str, FolderLabels]]:
    """Label issues, and the label check by folder; both are empty without embeddings."""
    if embeddings is None:
        return pl.DataFrame(schema=LABEL_ISSUES_SCHEMA), {}
    return find_label_issues(frame, embeddings, frame["group"].to_numpy(), SEED)


def _count_kinds(table: pl.DataFrame) -> dict[str, int]:
    return dict(table["kind"].value_counts().sort("kind").rows())


def _count_copies(frame: pl.DataFrame, pairs: pl.DataFrame) -> CopyCounts:
    files = frame.unique(["root", "path"])
    return CopyCounts(
        identical_files=files.height - files["sha256"].n_unique(),
        identical_pixels=frame.height - frame["pixel_hash"].n_unique(),
        pairs=dict(pairs["transform"].value_counts().sort("count", descending=True).rows()),
    )


def _count_groups(frame: pl.DataFrame, pairs: pl.DataFrame) -> GroupCounts:
    sizes = frame["group"].value_counts().sort("count", "group", descending=[True, False])
    largest = []
    for group, size in sizes.filter(pl.col("count") > 1).head(LARGEST).iter_rows():
        rows = frame.filter(pl.col("group") == group)
        largest.append(
            GroupFacts(
                slices=size,
                labels=dict(rows["label"].value_counts().sort("label").rows()),
                sources=dict(rows["source"].value_counts().sort("source").rows()),
                paths=tuple(rows["path"].head(8)),
            )
        )
    return GroupCounts(
        count=sizes.height,
        mixed_labels=count_mixed_labels(frame, "copies"),
        largest=tuple(largest),
        cut=int(pairs["cut"].sum()),
    )
