"""Proposals that an audit makes for each doubtful slice, for a person to edit in decisions.csv.

All functions return a table of decisions in the columns of `result.DECISIONS_SCHEMA`.
"""

import polars as pl

from gliascope.audit.result import DECISIONS_SCHEMA, LABEL_ISSUE
from gliascope.dataset.content import copy_keys


def propose_for_conflicts(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Propose to drop slices that have identical pixels or a near copy under another label.

    Parameters
    ----------
    frame
        Catalogue rows.
    pairs
        Near copies in the columns of `result.PAIRS_SCHEMA`; those marked `cut` are ignored.

    Returns
    -------
    pl.DataFrame
        A decision of kind "conflict" for each slice of a conflict, the most alike first.
    """
    hashes = copy_keys(frame).drop_nulls().unique()
    same = pl.DataFrame({"a": hashes, "b": hashes}).with_columns(correlation=pl.lit(1.0))
    linked = pl.concat([same, pairs.filter(~pl.col("cut")).select("a", "b", "correlation")])
    both = pl.concat([linked, linked.select(a="b", b="a", correlation="correlation")]).unique(["a", "b"])
    one = frame.select("path", "index", "label", a="pixel_hash")
    other = frame.select(other_path="path", other_index="index", other_label="label", b="pixel_hash")
    found = (
        one.join(both, on="a")
        .join(other.unique(["b", "other_label"], keep="first", maintain_order=True), on="b")
        .filter(pl.col("label") != pl.col("other_label"))
        .sort("correlation", "path", "index", "other_path", descending=[True, False, False, False])
        .unique(["path", "index"], keep="first", maintain_order=True)
    )
    return _as_decisions(found, "conflict", "drop")


def propose_for_doubtful_pairs(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Propose to treat pairs just below the threshold as different pictures.

    Parameters
    ----------
    frame
        Catalogue rows.
    pairs
        Doubtful pairs in the columns of `result.PAIRS_SCHEMA`.

    Returns
    -------
    pl.DataFrame
        A decision of kind "pair" for each pair, the most alike first.
    """
    distinct = frame.unique("pixel_hash", keep="first", maintain_order=True)
    one = distinct.select("path", "index", "label", a="pixel_hash")
    other = distinct.select(other_path="path", other_index="index", other_label="label", b="pixel_hash")
    found = pairs.join(one, on="a").join(other, on="b").sort("correlation", "path", descending=[True, False])
    return _as_decisions(found, "pair", "different")


def propose_for_label_issues(issues: pl.DataFrame) -> pl.DataFrame:
    """Propose to drop slices with a label issue in a flagged folder, and to keep all others.

    A classifier's doubt about one slice is no proof, and a test set must not be cleaned of difficult slices.

    Parameters
    ----------
    issues
        In the columns of `label_issues.LABEL_ISSUES_SCHEMA`.
    """
    action = pl.when("flagged").then(pl.lit("drop")).otherwise(pl.lit("keep"))
    return _as_decisions(issues.with_columns(action=action), LABEL_ISSUE, None)


def _as_decisions(found: pl.DataFrame, kind: str, action: str | None) -> pl.DataFrame:
    """Add the missing columns of `DECISIONS_SCHEMA`. action: None if the table has a column of that name."""
    if "correlation" in found.columns:
        found = found.with_columns(evidence="correlation")
    if action:
        found = found.with_columns(action=pl.lit(action))
    found = found.with_columns(kind=pl.lit(kind))
    missing = [pl.lit(None).alias(name) for name in DECISIONS_SCHEMA if name not in found.columns]
    return found.with_columns(missing).select(list(DECISIONS_SCHEMA)).cast(DECISIONS_SCHEMA)  # type: ignore[arg-type]
