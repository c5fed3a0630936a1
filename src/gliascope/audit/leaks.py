"""Copies of training slices in test sets, and copies that two sources share.

Two slices are copies of one another if their pixels are identical or if they are a pair of near copies. In
all functions `pairs` is a table of near copies in the columns of `result.PAIRS_SCHEMA`.
"""

from itertools import combinations

import polars as pl

from gliascope.audit.facts import ClassLeak, SourceFacts, SourceOverlap


def has_copy(
    hashes: pl.Series, others: pl.Series, pairs: pl.DataFrame, untransformed: bool = False
) -> pl.Series:
    """Tell for each slice whether a second set of slices holds a copy of it.

    Parameters
    ----------
    hashes
        Pixel hash of each slice, String (n,).
    others
        Pixel hashes of the second set, String (m,).
    pairs
        Near copies.
    untransformed
        Leave out near copies that are mirrored, turned or cropped.

    Returns
    -------
    pl.Series
        Boolean (n,).
    """
    if untransformed:
        pairs = pairs.filter(pl.col("transform") == "none")
    both_ways = pl.concat([pairs.select(slice=x, copy=y) for x, y in (("a", "b"), ("b", "a"))])
    copied = both_ways.filter(pl.col("copy").is_in(others.implode()))["slice"]
    return hashes.is_in(pl.concat([copied, others]).unique().implode())


def count_leaks(frame: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, SourceFacts]:
    """Count slices and leaks of each source.

    Parameters
    ----------
    frame
        Catalogue rows with an additional column `copies`, the group of copies of each slice.
    pairs
        Near copies.

    Returns
    -------
    dict
        By name of the source, in the catalogue's order.
    """
    names = frame["source"].unique(maintain_order=True)
    return {name: _count_leaks_of_source(frame.filter(pl.col("source") == name), pairs) for name in names}


def _count_leaks_of_source(frame: pl.DataFrame, pairs: pl.DataFrame) -> SourceFacts:
    test = frame.filter(pl.col("official") == "test")
    train = frame.filter(pl.col("official").fill_null("train") != "test")
    leaks = test.with_columns(
        plain=has_copy(test["pixel_hash"], train["pixel_hash"], pairs, untransformed=True),
        any=has_copy(test["pixel_hash"], train["pixel_hash"], pairs),
    )
    by_class = leaks.group_by("label").agg(pl.len(), pl.col("plain").sum(), pl.col("any").sum()).sort("label")
    tested = not test.is_empty()
    return SourceFacts(
        files=frame.n_unique(["root", "path"]),
        slices=frame.height,
        distinct_files=frame["sha256"].n_unique(),
        distinct_slices=frame["pixel_hash"].n_unique(),
        classes=dict(frame["label"].value_counts().sort("label").rows()),
        mixed_label_groups=count_mixed_labels(frame, "copies"),
        identical_groups_across_splits=len(set(test["sha256"]) & set(train["sha256"])) if tested else None,
        test_slices=test.height if tested else None,
        test_slices_with_training_twin=int(leaks["plain"].sum()) if tested else None,
        test_slices_with_training_twin_any_transform=int(leaks["any"].sum()) if tested else None,
        test_twins_by_class={
            label: ClassLeak(test_slices=n, twin=plain, twin_any_transform=any_)
            for label, n, plain, any_ in by_class.iter_rows()
        }
        if tested
        else None,
    )


def count_mixed_labels(frame: pl.DataFrame, column: str) -> int:
    """Count the groups, by a column of a catalogue frame, whose slices carry more than one label."""
    return frame.group_by(column).agg(pl.col("label").n_unique()).filter(pl.col("label") > 1).height


def source_overlaps(frame: pl.DataFrame, pairs: pl.DataFrame) -> tuple[SourceOverlap, ...]:
    """Count what each two sources of a catalogue frame share; `pairs` are the near copies."""
    sources = {str(name): rows for (name,), rows in frame.group_by("source", maintain_order=True)}
    return tuple(_overlap(a, b, sources, pairs) for a, b in combinations(sources, 2))


def _overlap(a: str, b: str, sources: dict[str, pl.DataFrame], pairs: pl.DataFrame) -> SourceOverlap:
    identical, plain, any_transform = {}, {}, {}
    for one, other in ((a, b), (b, a)):
        files, hashes = sources[one].unique(["root", "path"]), sources[one]["pixel_hash"]
        others = sources[other]["pixel_hash"]
        identical[one] = int(files["sha256"].is_in(sources[other]["sha256"].unique().implode()).sum())
        plain[one] = int(has_copy(hashes, others, pairs, untransformed=True).sum())
        any_transform[one] = int(has_copy(hashes, others, pairs).sum())
    return SourceOverlap(a=a, b=b, identical_files=identical, twins=plain, twins_any_transform=any_transform)
