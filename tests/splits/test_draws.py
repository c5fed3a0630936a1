"""Draws follow from content and seed, whatever slices have in common."""

import hashlib
from itertools import pairwise

import polars as pl

from gliascope.splits.draws import SLICE_KEY, draw_position, hash_halves

BLANK = "0" * 32  # smaller than every other: the smallest hash of any volume that has a blank slice


def hash_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def volumes(count: int, slices: int = 5) -> pl.DataFrame:
    """Volumes of one file each, whose first slice is blank."""
    rows = [
        {
            "source": "s",
            "path": f"s/{number:03d}.nii",
            "index": index,
            "label": "glioma",
            "group": number,
            "blank": index == 0,
            "pixel_hash": BLANK if index == 0 else hash_of(f"{number}/{index}"),
        }
        for number in range(count)
        for index in range(slices)
    ]
    return pl.DataFrame(rows)


def order(frame: pl.DataFrame, seed: int) -> list[int]:
    return (
        frame.with_columns(at=draw_position(frame, seed))
        .sort("at")["group"]
        .unique(maintain_order=True)
        .to_list()
    )


def test_volumes_that_share_a_blank_slice_are_drawn_and_not_taken_in_order() -> None:
    frame = volumes(60)
    first, other = order(frame, 0), order(frame, 1)
    assert first != other
    for drawn in (first, other):
        assert drawn != sorted(drawn)
        follows = sum(after == before + 1 for before, after in pairwise(drawn))
        assert follows < 10
    assert order(frame.reverse(), 0) == first


def test_copies_are_drawn_one_by_one_where_slices_are() -> None:
    rows = {"source": ["s"] * 100, "path": [f"s/{n}.png" for n in range(100)], "index": [0] * 100}
    frame = pl.DataFrame(rows | {"pixel_hash": ["1" * 32] * 100, "label": ["a"] * 100}).with_columns(
        blank=pl.lit(value=False), group=pl.int_range(pl.len())
    )
    test = (draw_position(frame, 0, SLICE_KEY) < 0.5).arg_true().to_list()
    assert len(test) == 50
    assert test != list(range(50))
    again = draw_position(frame.sample(fraction=1, shuffle=True, seed=1), 0, SLICE_KEY)
    assert sorted(again) == sorted(draw_position(frame, 0, SLICE_KEY))


def test_a_group_is_of_one_half_for_good() -> None:
    frame = volumes(400)
    frame = frame.with_columns(half=hash_halves(frame))
    assert frame.group_by("group").agg(pl.col("half").n_unique())["half"].max() == 1
    assert 160 < frame.filter(pl.col("half"))["group"].n_unique() < 240
    some = frame.filter(pl.col("group") % 3 == 0).sample(fraction=1, shuffle=True, seed=2)
    assert hash_halves(some.with_columns(label=pl.lit("other"))).to_list() == some["half"].to_list()
