"""Slices that are unlike a slice: nearly blank, written on, coloured, of another modality, size or way up."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.audit.copies import images
from gliascope.data.audit.marks import MARKS, beside_head, marks
from gliascope.data.audit.result import ODDITIES_SCHEMA
from gliascope.data.audit.upright import ALIKE, MARGIN, upside_down
from gliascope.data.audit.vectors import Pixels
from gliascope.data.catalog import FILE, read_file
from gliascope.data.parallel import parallel_map
from gliascope.errors import ReadError
from gliascope.progress import note

BLANK = 0.02  # of the thumbnail's pixels differ from the commonest by more than 25 of 255
SMALLEST, LONGEST, FAR = 64, 2.5, 16  # pixels; long side to short; times the source's median area
COLOURED = 0.001  # share of clearly coloured pixels
MANY = 0.9  # share of a source that makes its modality the rule
_BLOCK = 1024

Found = Iterator[tuple[int, str, str]]  # row, kind, detail


def oddities(frame: pl.DataFrame, groups: NDArray[np.int64], seed: int) -> pl.DataFrame:
    """What a person should look at among the distinct slices of a catalogue frame; of ODDITIES_SCHEMA.

    groups: (rows,), equal for slices that no split may part. Copies are named once, by their first path.
    Works from the catalogue; only files whose thumbnail shows something beside the head, or that have colour,
    are read again.
    """
    rows = pl.Series(np.arange(frame.height)).filter(frame["pixel_hash"].is_first_distinct())
    distinct = frame[rows]
    thumbnails = images(distinct["thumbnail"])
    found = [
        *_near_blank(thumbnails),
        *_marked(distinct, thumbnails),
        *_other_modality(distinct),
        *_extreme_size(distinct),
        *_upside_down(images(distinct["head_thumbnail"]), groups[rows.to_numpy()], seed),
    ]
    place = distinct.select("path", "index")
    found_rows = [(*place.row(row), kind, detail) for row, kind, detail in found]
    return pl.DataFrame(found_rows, schema=ODDITIES_SCHEMA, orient="row")


def _near_blank(thumbnails: Pixels) -> Found:
    share = np.empty(len(thumbnails))
    for start in range(0, len(thumbnails), _BLOCK):
        flat = thumbnails[start : start + _BLOCK].reshape(-1, thumbnails[0].size).astype(np.int16)
        share[start : start + _BLOCK] = (np.abs(flat - np.median(flat, axis=1, keepdims=True)) > 25).mean(
            axis=1
        )
    for row in np.flatnonzero(share < BLANK):
        yield int(row), "nearly blank", f"{share[row]:.1%} of the picture stands out from its background"


def _marked(frame: pl.DataFrame, thumbnails: Pixels) -> Found:
    suspicious = (frame["channels"] > 1).to_numpy().copy()
    for start in range(0, len(thumbnails), _BLOCK):
        block = slice(start, start + _BLOCK)
        suspicious[block] |= beside_head(thumbnails[block]).any(axis=(1, 2))
    files = (
        frame.select(*FILE, "index", row=pl.int_range(pl.len()))
        .filter(pl.Series(suspicious))
        .group_by(FILE, maintain_order=True)
        .agg("index", "row")
        .rows()
    )
    unread = 0
    for seen in parallel_map(_look, files, "audit: text, colour"):
        unread += seen is None
        for row, letters, colour in seen or []:
            if letters >= MARKS:
                yield row, "text beside the head", f"{letters} marks the size of letters"
            if colour >= COLOURED:
                yield row, "coloured", f"{colour:.1%} of the pixels are coloured"
    if unread:
        note(f"{unread} files could not be read again, so text and colour in them were not looked for")


def _look(file: tuple[Any, ...]) -> list[tuple[int, int, float]] | None:
    """file: columns FILE, then indices of slices and their rows."""
    *where, indices, rows = file
    try:
        slices = {item.index: item.pixels for item in read_file(*where)}
    except (ReadError, OSError):
        return None
    return [(row, *marks(slices[index])) for index, row in zip(indices, rows, strict=True) if index in slices]


def _other_modality(frame: pl.DataFrame) -> Found:
    """Where the catalogue knows: a slice of another modality than nearly all of its source."""
    of_source = pl.len().over("source")
    known = (
        frame.select("source", "modality", row=pl.int_range(pl.len()))
        .drop_nulls("modality")
        .with_columns(share=pl.len().over("source", "modality") / of_source)
        .with_columns(rule=pl.col("modality").sort_by("share").last().over("source"))
        .with_columns(rule_share=pl.col("share").max().over("source"))
    )
    odd = known.filter((pl.col("rule_share") >= MANY) & (pl.col("modality") != pl.col("rule")))
    for row, modality, rule, share in odd.select("row", "modality", "rule", "rule_share").iter_rows():
        yield row, "other modality", f"{modality}, where {share:.1%} of the source are {rule}"


def _extreme_size(frame: pl.DataFrame) -> Found:
    width, height = frame["width"].to_numpy(), frame["height"].to_numpy()
    area = (frame["width"] * frame["height"]).cast(pl.Float64)
    median = frame.select(area.alias("area"), "source").select(pl.median("area").over("source"))["area"]
    times = (area / median).to_numpy()
    short, long = np.minimum(width, height), np.maximum(width, height)
    extreme = (short < SMALLEST) | (long > LONGEST * short) | (times > FAR) | (times * FAR < 1)
    for row in np.flatnonzero(extreme):
        usual = f"{times[row]:.2g} times the source's median area"
        yield int(row), "extreme size", f"{width[row]} x {height[row]} pixels, {usual}"


def _upside_down(heads: Pixels, groups: NDArray[np.int64], seed: int) -> Found:
    as_it_is, turned = upside_down(heads, groups, seed)
    for row in np.flatnonzero((turned - as_it_is > MARGIN) & (turned > ALIKE)):
        fits = f"correlation with the slices most like it {turned[row]:.2f}, {as_it_is[row]:.2f} as it is"
        yield int(row), "upside down", f"fits better turned round: {fits}"
