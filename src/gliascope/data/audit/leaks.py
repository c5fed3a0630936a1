"""What copies cost: test slices that training has seen, and what sources share."""

from itertools import combinations
from typing import Any

import polars as pl


def neighbours(pairs: pl.DataFrame, plain: bool = False) -> pl.DataFrame:
    """Columns pixel_hash and twin: each pair both ways; with `plain`, those that need no transform only."""
    if plain:
        pairs = pairs.filter(pl.col("transform") == "none")
    both = [pairs.select(pixel_hash=x, twin=y) for x, y in (("a", "b"), ("b", "a"))]
    return pl.concat(both)


def has_twin(hashes: pl.Series, others: pl.Series, pairs: pl.DataFrame, plain: bool = False) -> pl.Series:
    """For each slice of `hashes` whether `others` holds identical pixels or a near copy, bool."""
    seen = neighbours(pairs, plain).filter(pl.col("twin").is_in(others.implode()))["pixel_hash"]
    return hashes.is_in(pl.concat([seen, others]).unique().implode())


def source_facts(frame: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Key `sources` of audit.json. frame: catalogue rows with their group of `copies`."""
    names = frame["source"].unique(maintain_order=True)
    return {name: _source(frame.filter(pl.col("source") == name), pairs) for name in names}


def _source(frame: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    test = frame.filter(pl.col("official") == "test")
    train = frame.filter(pl.col("official").fill_null("train") != "test")
    facts: dict[str, Any] = {
        "files": frame.n_unique(["root", "path"]),
        "slices": frame.height,
        "distinct_files": frame["sha256"].n_unique(),
        "distinct_slices": frame["pixel_hash"].n_unique(),
        "classes": dict(frame["label"].value_counts().sort("label").rows()),
        "mixed_label_groups": mixed(frame, "copies"),
    }
    keys = ("test_slices_with_training_twin", "test_slices_with_training_twin_any_transform")
    if test.is_empty():
        none = ("identical_groups_across_splits", "test_slices", *keys, "test_twins_by_class")
        return facts | dict.fromkeys(none)
    twins = test.with_columns(
        twin=has_twin(test["pixel_hash"], train["pixel_hash"], pairs, plain=True),
        any=has_twin(test["pixel_hash"], train["pixel_hash"], pairs),
    )
    by_class = twins.group_by("label").agg(pl.len(), pl.col("twin").sum(), pl.col("any").sum()).sort("label")
    return facts | {
        "identical_groups_across_splits": len(set(test["sha256"]) & set(train["sha256"])),
        "test_slices": test.height,
        keys[0]: int(twins["twin"].sum()),
        keys[1]: int(twins["any"].sum()),
        "test_twins_by_class": {
            label: {"test_slices": n, "twin": twin, "twin_any_transform": any_}
            for label, n, twin, any_ in by_class.iter_rows()
        },
    }


def mixed(frame: pl.DataFrame, column: str) -> int:
    """How many groups by `column` carry more than one label."""
    return frame.group_by(column).agg(pl.col("label").n_unique()).filter(pl.col("label") > 1).height


def between_sources(frame: pl.DataFrame, pairs: pl.DataFrame) -> list[dict[str, Any]]:
    """Key `between_sources` of audit.json: what each two sources share, counted on either side."""
    parts = {str(name): part for (name,), part in frame.group_by("source", maintain_order=True)}
    rows = []
    for a, b in combinations(parts, 2):
        row: dict[str, Any] = {"a": a, "b": b, "identical_files": {}, "twins": {}, "twins_any_transform": {}}
        for one, other in ((a, b), (b, a)):
            files = parts[one].unique(["root", "path"])
            shared = files["sha256"].is_in(parts[other]["sha256"].unique().implode())
            row["identical_files"][one] = int(shared.sum())
            for key, plain in (("twins", True), ("twins_any_transform", False)):
                found = has_twin(parts[one]["pixel_hash"], parts[other]["pixel_hash"], pairs, plain)
                row[key][one] = int(found.sum())
        rows.append(row)
    return rows
