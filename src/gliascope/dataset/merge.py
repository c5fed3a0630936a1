"""Merge sources: keep one of several identical slices, and none of them if their labels differ."""

import polars as pl

from gliascope.dataset.content import copy_keys

CONFLICTS = ["path", "index", "label", "other_path", "other_index", "other_label"]
_PLACE = ["path", "index", "label"]


def exclusion_reasons(frame: pl.DataFrame) -> pl.Series:
    """State why each row of a catalogue frame is not in the merged set.

    Of slices with identical pixels, the first path of the first source is kept, and the others are a "copy of
    PATH". If such slices have several labels, none is kept: each has a "label conflict with PATH", a slice
    with another label. A localizer or a derived map is never kept, and its `kind` is the reason.

    Parameters
    ----------
    frame
        Catalogue rows.

    Returns
    -------
    polars.Series
        String (rows,); null for rows that are in the merged set.
    """
    reason = (
        pl.when(pl.col("other_path").is_not_null())
        .then(pl.lit("label conflict with ") + pl.col("other_path"))
        .when(~pl.col("first"))
        .then(pl.lit("copy of ") + pl.col("first_path"))
    )
    reasons = _compare(frame).select("row", exclusion_reason=reason)
    rows = frame.select("path").with_row_index("row").select("row")
    copies = rows.join(reasons, on="row", how="left", maintain_order="left")["exclusion_reason"]
    return (
        frame["kind"].cast(pl.String).alias("exclusion_reason").zip_with(frame["kind"].is_not_null(), copies)
    )


def conflicts(frame: pl.DataFrame) -> pl.DataFrame:
    """List slices whose identical pixels carry another label elsewhere, each beside one such slice.

    Returns
    -------
    polars.DataFrame
        Columns `CONFLICTS`.
    """
    return _compare(frame).filter(pl.col("other_path").is_not_null()).select(CONFLICTS)


def _compare(frame: pl.DataFrame) -> pl.DataFrame:
    """Find rows that share their pixels with other rows: which is first, and which has another label."""
    pixels = "content"
    order = pl.struct("source_row", "path", "index")
    first = pl.struct(_PLACE).first().over(pixels)
    # The first slice whose label is not the first one's: together these two answer for every row.
    second = pl.struct(_PLACE).filter(pl.col("label") != pl.col("label").first()).first().over(pixels)
    other = pl.when(pl.col("label") == first.struct.field("label")).then(second).otherwise(first)
    return (
        frame.select("source", *_PLACE, "kind", content=copy_keys(frame))
        .with_row_index("row")
        .with_columns(source_row=pl.col("row").min().over("source"))
        .filter(pl.col("kind").is_null())
        .filter(pl.col(pixels).is_not_null() & pl.col(pixels).is_duplicated())  # few: the rest is not copied
        .sort(order)
        .with_columns(
            first=pl.col("row") == pl.col("row").first().over(pixels),
            first_path=pl.col("path").first().over(pixels),
            other_path=other.struct.field("path"),
            other_index=other.struct.field("index"),
            other_label=other.struct.field("label"),
        )
        .sort("row")
    )
