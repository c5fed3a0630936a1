"""Groups: connected components over what is known to belong together and over near copies."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.audit.vectors import TRANSFORMS, Array, directions, turn_low
from gliascope.data.content import content
from gliascope.data.groups import group_ids

LARGE = 50  # distinct slices; a component above this may be a chain of look-alikes
UNLIKE = 0.5  # correlation of the low frequencies, under the best transform
STEP = 0.0025

Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]


def link(frame: pl.DataFrame, pairs: pl.DataFrame | None) -> Rows:
    """Groups of a catalogue frame, (rows,): by `group_ids`, and joined by near copies.

    pairs: of PAIRS_SCHEMA; those marked `cut` do not count.
    """
    known = group_ids(frame)
    if pairs is None:
        return known
    first, second = rows_of(frame["pixel_hash"], pairs.filter(~pl.col("cut")))
    return connected(known, first, second)


def copy_groups(frame: pl.DataFrame, pairs: pl.DataFrame) -> Rows:
    """Groups of copies alone, (rows,): one patient's slices may differ in label, copies may not."""
    alone = pl.int_range(pl.len()).cast(pl.String)  # a blank slice is no copy
    known = frame.select(pl.coalesce(content(frame), alone).rank("dense")).to_series()
    return connected(known.to_numpy(), *rows_of(frame["pixel_hash"], pairs.filter(~pl.col("cut"))))


def rows_of(hashes: pl.Series, pairs: pl.DataFrame) -> tuple[Rows, Rows]:
    """A row with each pixel hash of a pair; rows with equal hashes are of one group anyway."""
    row = hashes.to_frame("hash").with_row_index("row").unique("hash")
    found = pairs.join(row, left_on="a", right_on="hash").join(row, left_on="b", right_on="hash", suffix="_b")
    return found["row"].to_numpy().astype(np.int64), found["row_b"].to_numpy().astype(np.int64)


def cut_chains(first: Rows, second: Rows, correlation: NDArray[np.float64], low: Array) -> Bools:
    """Which links (first, second) of copies to cut, lest a chain of look-alikes swallows a set; (links,).

    In a component of more than LARGE slices whose ends are unlike, the weakest links are cut until it falls
    apart. low: low frequencies (n, k, k) of the slices.
    """
    apart = np.arange(len(low))
    cut = np.zeros(len(first), dtype=bool)
    while True:
        group = connected(apart, first[~cut], second[~cut])
        weak = np.zeros_like(cut)
        for number in np.flatnonzero(np.bincount(group) > LARGE):
            inside = ~cut & (group[first] == number)
            if inside.any() and _is_chain(low[group == number]):
                weak |= inside & (correlation <= correlation[inside].min() + STEP)
        if not weak.any():
            return cut
        cut |= weak


def connected(known: Rows, first: Rows, second: Rows) -> Rows:
    """Connected components of the groups `known` under links, numbered by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes = np.unique(known, return_inverse=True)[1]
    n = int(codes.max()) + 1
    ones = np.ones(len(first), dtype=np.int8)
    graph = coo_array((ones, (codes[first], codes[second])), shape=(n, n))
    component = connected_components(graph, directed=False)[1][codes]
    _, place, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(place))[inverse].astype(np.int64)


def _is_chain(low: Array) -> bool:
    """Whether two far members are unlike: walk to the one least like the first, then to its least like."""
    end = low[:1]
    for _ in range(2):
        likeness = _likeness(low, end)
        end = low[likeness.argmin()][None]
    return bool(likeness.min() < UNLIKE)


def _likeness(low: Array, one: Array) -> NDArray[np.float64]:
    """Best correlation over all transforms of each (n, k, k) with one, by low frequencies alone."""
    turned = np.concatenate([directions(turn_low(one, name)) for name in TRANSFORMS])
    best: NDArray[np.float64] = (directions(low) @ turned.T).max(1)
    return best
