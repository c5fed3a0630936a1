"""Quality issues: slices that are blank, written on, coloured, or of odd modality, size or orientation."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.audit.burned_in_text import LETTERS, outside_head_mask, text_and_colour
from gliascope.audit.copies import thumbnail_array
from gliascope.audit.orientation import ALIKE, MARGIN, orientation_scores
from gliascope.audit.result import QUALITY_ISSUES_SCHEMA
from gliascope.audit.vectors import Pixels
from gliascope.dataset.catalog import FILE_COLUMNS, read_catalogued
from gliascope.errors import ReadError
from gliascope.runtime.executors import map_with_progress
from gliascope.runtime.progress import note

BLANK = 0.02  # share of the thumbnail's pixels that differ from the median, at least
BLANK_STEP = 25  # by more than so many grey values
SMALLEST = 64  # pixels of the shorter side
ELONGATED = 2.5  # long side to short side
FAR_AREA = 16  # times the median area of the source, or that fraction of it
COLOURED = 0.001  # share of clearly coloured pixels
PREVAILING = 0.9  # share of a source from which its commonest modality is the rule
_BLOCK = 1024

Issues = Iterator[tuple[int, str, str]]  # row, kind, detail


def find_quality_issues(frame: pl.DataFrame, groups: NDArray[np.int64], seed: int) -> pl.DataFrame:
    """Find slices that a person should look at.

    Of slices with identical pixels only the first is named. Everything is computed from the catalogue, except
    for text and colour: files whose thumbnail shows something beside the head, or that have colour channels,
    are read again.

    Parameters
    ----------
    frame
        Catalogue rows with thumbnail and head_thumbnail.
    groups
        int64 (rows,), equal for slices that no split may separate.
    seed
        Of the drawing of slices to compare orientations with.

    Returns
    -------
    pl.DataFrame
        One row for each slice and kind of issue, in the columns of `QUALITY_ISSUES_SCHEMA`.
    """
    rows = pl.Series(np.arange(frame.height)).filter(frame["pixel_hash"].is_first_distinct())
    distinct = frame[rows]
    thumbnails = thumbnail_array(distinct["thumbnail"])
    issues = [
        *_nearly_blank(thumbnails),
        *_text_or_colour(distinct, thumbnails),
        *_other_modality(distinct),
        *_extreme_size(distinct),
        *_upside_down(thumbnail_array(distinct["head_thumbnail"]), groups[rows.to_numpy()], seed),
    ]
    names = distinct.select("path", "index")
    named = [(*names.row(row), kind, detail) for row, kind, detail in issues]
    return pl.DataFrame(named, schema=QUALITY_ISSUES_SCHEMA, orient="row")


def _nearly_blank(thumbnails: Pixels) -> Issues:
    share = np.empty(len(thumbnails))
    for start in range(0, len(thumbnails), _BLOCK):
        flat = thumbnails[start : start + _BLOCK].reshape(-1, thumbnails[0].size).astype(np.int16)
        distance = np.abs(flat - np.median(flat, axis=1, keepdims=True))
        share[start : start + _BLOCK] = (distance > BLANK_STEP).mean(axis=1)
    for row in np.flatnonzero(share < BLANK):
        yield int(row), "nearly blank", f"{share[row]:.1%} of the picture stands out from its background"


def _text_or_colour(frame: pl.DataFrame, thumbnails: Pixels) -> Issues:
    to_read = (frame["channels"] > 1).to_numpy().copy()
    for start in range(0, len(thumbnails), _BLOCK):
        block = slice(start, start + _BLOCK)
        to_read[block] |= outside_head_mask(thumbnails[block]).any(axis=(1, 2))
    files = (
        frame.select(*FILE_COLUMNS, "index", row=pl.int_range(pl.len()))
        .filter(pl.Series(to_read))
        .group_by(FILE_COLUMNS, maintain_order=True)
        .agg("index", "row")
        .rows()
    )
    unreadable = 0
    for measured in map_with_progress(_measure_file, files, "audit: text, colour"):
        unreadable += measured is None
        for row, letters, colour in measured or []:
            if letters >= LETTERS:
                yield row, "text beside the head", f"{letters} marks the size of letters"
            if colour >= COLOURED:
                yield row, "coloured", f"{colour:.1%} of the pixels are coloured"
    if unreadable:
        note(f"{unreadable} files could not be read again, so text and colour in them were not looked for")


def _measure_file(file: tuple[Any, ...]) -> list[tuple[int, int, float]] | None:
    """Count letters and measure colour in some slices of a file.

    Parameters
    ----------
    file
        The values of the catalogue's columns `FILE`, then a list of slice indices and a list of their rows.

    Returns
    -------
    list of tuple or None
        Row, number of letters and share of coloured pixels of each slice; None if the file cannot be read.
    """
    *file_columns, indices, rows = file
    try:
        slices = {item.index: item.pixels for item in read_catalogued(*file_columns)}
    except (ReadError, OSError):
        return None
    return [
        (row, *text_and_colour(slices[index]))
        for index, row in zip(indices, rows, strict=True)
        if index in slices
    ]


def _other_modality(frame: pl.DataFrame) -> Issues:
    """Slices of another modality than nearly all of their source, where the catalogue knows the modality."""
    of_source = pl.len().over("source")
    known = (
        frame.select("source", "modality", row=pl.int_range(pl.len()))
        .drop_nulls("modality")
        .with_columns(share=pl.len().over("source", "modality") / of_source)
        .with_columns(rule=pl.col("modality").sort_by("share").last().over("source"))
        .with_columns(rule_share=pl.col("share").max().over("source"))
    )
    odd = known.filter((pl.col("rule_share") >= PREVAILING) & (pl.col("modality") != pl.col("rule")))
    for row, modality, rule, share in odd.select("row", "modality", "rule", "rule_share").iter_rows():
        yield row, "other modality", f"{modality}, where {share:.1%} of the source are {rule}"


def _extreme_size(frame: pl.DataFrame) -> Issues:
    width, height = frame["width"].to_numpy(), frame["height"].to_numpy()
    area = (frame["width"] * frame["height"]).cast(pl.Float64)
    median = frame.select(area.alias("area"), "source").select(pl.median("area").over("source"))["area"]
    times = (area / median).to_numpy()
    short, long = np.minimum(width, height), np.maximum(width, height)
    extreme = (short < SMALLEST) | (long > ELONGATED * short) | (times > FAR_AREA) | (times * FAR_AREA < 1)
    for row in np.flatnonzero(extreme):
        usual = f"{times[row]:.2g} times the source's median area"
        yield int(row), "extreme size", f"{width[row]} x {height[row]} pixels, {usual}"


def _upside_down(heads: Pixels, groups: NDArray[np.int64], seed: int) -> Issues:
    upright, upside_down = orientation_scores(heads, groups, seed)
    for row in np.flatnonzero((upside_down - upright > MARGIN) & (upside_down > ALIKE)):
        scores = (
            f"correlation with the slices most like it {upside_down[row]:.2f}, {upright[row]:.2f} as it is"
        )
        yield int(row), "upside down", f"fits better turned round: {scores}"
