"""Catalog in, Audit out."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope import RESEARCH_USE, __version__
from gliascope.data.audit import decisions
from gliascope.data.audit.components import copy_groups, cut_chains, link, rows_of
from gliascope.data.audit.copies import THRESHOLD, images, near_copies
from gliascope.data.audit.leaks import between_sources, mixed, source_facts
from gliascope.data.audit.oddities import oddities
from gliascope.data.audit.result import Audit
from gliascope.data.audit.shortcuts import shortcuts
from gliascope.data.audit.suspects import SUSPECTS_SCHEMA, suspects
from gliascope.data.audit.vectors import low_frequencies
from gliascope.data.audit.verdict import verdict
from gliascope.data.catalog import Catalog
from gliascope.data.identity import patient_facts

DOUBT = 0.01  # below the threshold: pairs that a person should look at
LARGEST = 10

Features = NDArray[np.float32]


def examine(
    catalog: Catalog,
    threshold: float = THRESHOLD,
    features: Features | None = None,
    unchecked: str = "",
) -> Audit:
    """Find copies, leaks, label conflicts, shortcuts and damage in a catalogue.

    features: what a frozen network sees in each distinct slice, float32 (distinct slices, d), in the order of
    their sorted pixel hashes; without them no label is checked, and `unchecked` says why.
    """
    frame = catalog.pictured()
    pairs, doubtful, recall = _copies(frame, threshold)
    group, copies = pl.Series(link(frame, pairs)), pl.Series(copy_groups(frame, pairs))
    frame = frame.with_columns(group=group, copies=copies)
    odd = oddities(frame, frame["group"].to_numpy(), seed=0)
    suspected, folders = _suspects(frame, features)
    decided = pl.concat(
        [
            decisions.conflicts(frame, pairs),
            decisions.suspects(suspected),
            decisions.doubtful_pairs(frame, doubtful),
        ]
    )
    facts: dict[str, Any] = {
        "title": f"Audit of {', '.join(frame['source'].unique(maintain_order=True))}",
        "notice": RESEARCH_USE,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "gliascope": __version__,
        "slices": frame.height,
        "distinct_slices": frame["pixel_hash"].n_unique(),
        "settings": {"threshold": threshold, "doubtful_from": threshold - DOUBT, "recall_of_search": recall},
        "sources": source_facts(frame, pairs),
        "between_sources": between_sources(frame, pairs),
        "copies": _copy_facts(frame, pairs),
        "groups": _group_facts(frame, pairs),
        "patients": patient_facts(frame),
        "shortcuts": shortcuts(frame, frame["group"].to_numpy(), seed=0),
        "label_check": {"done": features is not None, "reason": unchecked},
        "suspect_labels": folders,
        "oddities": dict(odd["kind"].value_counts().sort("kind").rows()),
        "decisions": dict(decided["kind"].value_counts().sort("kind").rows()),
    }
    facts["verdict"] = verdict(facts)
    groups = frame.select("pixel_hash", "group").unique("pixel_hash", keep="first", maintain_order=True)
    return Audit(facts, groups, pairs, odd, decided)


def _copies(frame: pl.DataFrame, threshold: float) -> tuple[pl.DataFrame, pl.DataFrame, float | None]:
    """Near copies, chains cut; doubtful pairs, just below, that join two groups; recall."""
    distinct = frame.unique("pixel_hash", keep="first", maintain_order=True)
    found, recall = near_copies(distinct, threshold, DOUBT)
    pairs = found.filter(pl.col("correlation") >= threshold)
    first, second = rows_of(distinct["pixel_hash"], pairs)
    low = low_frequencies(images(distinct["thumbnail"]))
    # Of copies alone: that the ends of one patient's volume are unlike is no reason to doubt its copy.
    cut = cut_chains(first, second, pairs["correlation"].to_numpy(), low)
    pairs = pairs.with_columns(cut=pl.Series(cut))
    groups = frame.select("pixel_hash", group=pl.Series(link(frame, pairs))).unique(
        "pixel_hash", keep="first"
    )
    doubtful = (
        found.filter(pl.col("correlation") < threshold)
        .join(groups.rename({"pixel_hash": "a", "group": "of_a"}), on="a")
        .join(groups.rename({"pixel_hash": "b", "group": "of_b"}), on="b")
        .filter(pl.col("of_a") != pl.col("of_b"))
    )
    return pairs, doubtful.select(found.columns), recall


def _suspects(
    frame: pl.DataFrame, features: Features | None
) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
    """Likely wrong labels, and the table of folders; both empty where no features were given."""
    if features is None:
        return pl.DataFrame(schema=SUSPECTS_SCHEMA), {}
    return suspects(frame, features, frame["group"].to_numpy(), seed=0)


def _copy_facts(frame: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    files = frame.unique(["root", "path"])
    return {
        "identical_files": files.height - files["sha256"].n_unique(),
        "identical_pixels": frame.height - frame["pixel_hash"].n_unique(),
        "pairs": dict(pairs["transform"].value_counts().sort("count", descending=True).rows()),
    }


def _group_facts(frame: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    sizes = frame["group"].value_counts().sort("count", "group", descending=[True, False])
    largest = []
    for group, size in sizes.filter(pl.col("count") > 1).head(LARGEST).iter_rows():
        rows = frame.filter(pl.col("group") == group)
        largest.append(
            {
                "slices": size,
                "labels": dict(rows["label"].value_counts().sort("label").rows()),
                "sources": dict(rows["source"].value_counts().sort("source").rows()),
                "paths": rows["path"].head(8).to_list(),
            }
        )
    return {
        "count": sizes.height,
        "mixed_labels": mixed(frame, "copies"),
        "largest": largest,
        "cut": int(pairs["cut"].sum()),
    }
