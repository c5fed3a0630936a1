"""Groups of slices: connected components over near copies and over what belongs together anyway."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.audit.vectors import TRANSFORMS, Array, transform_low_frequencies, unit_vectors
from gliascope.dataset.content import copy_keys
from gliascope.dataset.groups import number_groups

LARGE = 50  # distinct slices; a larger component may be a chain of look-alikes
UNLIKE = 0.5  # correlation of the low frequencies, under the best transform
STEP = 0.0025  # links within this much of the weakest one are cut together with it

Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]


def group_slices(frame: pl.DataFrame, pairs: pl.DataFrame | None) -> Rows:
    """Number the groups that no split may separate.

    Slices are in one group if a patient, study, file or user's group joins them (`group_ids`), or if they
    are near copies, directly or through others.

    Parameters
    ----------
    frame
        Catalogue rows.
    pairs
        Near copies in the columns of `result.PAIRS_SCHEMA`; None if there was no audit. Pairs marked `cut`
        are ignored.

    Returns
    -------
    numpy.ndarray
        int64 (rows,), numbered by first appearance.
    """
    known = number_groups(frame)
    if pairs is None:
        return known
    first, second = rows_of_pairs(frame["pixel_hash"], pairs.filter(~pl.col("cut")))
    return merge_groups(known, first, second)


def group_copies(frame: pl.DataFrame, pairs: pl.DataFrame) -> Rows:
    """Number the groups of identical slices and near copies alone, int64 (rows,).

    Slices of one patient may differ in their label; copies of one picture may not. Parameters as in
    `group_slices`.
    """
    own_number = pl.int_range(pl.len()).cast(pl.String)  # two blank slices are no copies of one another
    known = frame.select(pl.coalesce(copy_keys(frame), own_number).rank("dense")).to_series()
    return merge_groups(known.to_numpy(), *rows_of_pairs(frame["pixel_hash"], pairs.filter(~pl.col("cut"))))


def rows_of_pairs(hashes: pl.Series, pairs: pl.DataFrame) -> tuple[Rows, Rows]:
    """Translate pairs of pixel hashes to pairs of rows.

    Parameters
    ----------
    hashes
        Pixel hash of each row, String (rows,). Of rows with equal hashes one is taken.
    pairs
        Pixel hashes in columns a and b.

    Returns
    -------
    first, second
        int64 (pairs,).
    """
    row = hashes.to_frame("hash").with_row_index("row").unique("hash")
    found = pairs.join(row, left_on="a", right_on="hash").join(row, left_on="b", right_on="hash", suffix="_b")
    return found["row"].to_numpy().astype(np.int64), found["row_b"].to_numpy().astype(np.int64)


def cut_chains(first: Rows, second: Rows, correlation: NDArray[np.float64], low: Array) -> Bools:
    """Choose links to cut, so that a chain of look-alikes does not join a whole set to one group.

    In a component of more than `LARGE` slices whose ends are unlike one another, the weakest links are cut
    until it falls apart.

    Parameters
    ----------
    first, second
        Slices that each link joins, int64 (links,).
    correlation
        Of each link, float64 (links,).
    low
        Low frequencies of the slices, float32 (slices, size, size).

    Returns
    -------
    numpy.ndarray
        Boolean (links,), true for a link to cut.
    """
    single = np.arange(len(low))
    cut = np.zeros(len(first), dtype=bool)
    while True:
        group = merge_groups(single, first[~cut], second[~cut])
        weak = np.zeros_like(cut)
        for number in np.flatnonzero(np.bincount(group) > LARGE):
            inside = ~cut & (group[first] == number)
            if inside.any() and _is_chain(low[group == number]):
                weak |= inside & (correlation <= correlation[inside].min() + STEP)
        if not weak.any():
            return cut
        cut |= weak


def merge_groups(known: Rows, first: Rows, second: Rows) -> Rows:
    """Merge groups that links join: connected components.

    Parameters
    ----------
    known
        Group of each row, int64 (rows,).
    first, second
        Rows that each link joins, int64 (links,).

    Returns
    -------
    numpy.ndarray
        Merged group of each row, int64 (rows,), numbered by first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes = np.unique(known, return_inverse=True)[1]
    n = int(codes.max()) + 1
    ones = np.ones(len(first), dtype=np.int8)
    graph = coo_array((ones, (codes[first], codes[second])), shape=(n, n))
    component = connected_components(graph, directed=False)[1][codes]
    _, first_row, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_row))[inverse].astype(np.int64)


def _is_chain(low: Array) -> bool:
    """Whether two distant members of a component are unlike. low: float32 (members, size, size).

    The member least like the first one is an end; the member least like that end is the other.
    """
    end = low[:1]
    for _ in range(2):
        likeness = _likeness(low, end)
        end = low[likeness.argmin()][None]
    return bool(likeness.min() < UNLIKE)


def _likeness(low: Array, one: Array) -> NDArray[np.float64]:
    """Largest correlation, (n,), of each of (n, size, size) with (1, size, size) over all transforms."""
    transformed = np.concatenate([unit_vectors(transform_low_frequencies(one, name)) for name in TRANSFORMS])
    best: NDArray[np.float64] = (unit_vectors(low) @ transformed.T).max(1)
    return best
