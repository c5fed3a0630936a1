"""Slices that are upside down, recognised by comparison with the other slices of the set."""

import numpy as np
from numpy.typing import NDArray

from gliascope.audit.vectors import (
    Array,
    Pixels,
    low_frequencies,
    transform_low_frequencies,
    unit_vectors,
)

# Of 6,240 distinct public slices (MRI and CT) whose up-down mirror image is not in the set, 88 % are found
# when turned upside down, and 5 to 7 (by seed) are flagged as they are. ALIKE is needed because a slice that
# is unlike all others fits badly either way.
MARGIN = 0.03  # by which the upside-down score must exceed the other
ALIKE = 0.8  # least upside-down score
REFERENCES = 3000  # slices to compare with, so that the time grows only linearly with the set
NEIGHBOURS = 5  # most similar references that count
_SAME = 0.95  # correlation from which a reference also occurs upside down in the set
_BLOCK = 2048
_UPRIGHT = ("none", "flip")
_UPSIDE_DOWN = ("turn 180", "flip, turn 180")  # the second mirrors top and bottom


def orientation_scores(heads: Pixels, groups: NDArray[np.int64], seed: int) -> tuple[Array, Array]:
    """Score how well each slice fits the others, as it is and turned upside down.

    A score is the mean correlation (of low frequencies) with the NEIGHBOURS most similar of up to REFERENCES
    slices of other groups, the better of plain and left-right mirrored. References that also occur upside
    down in the set do not count, as they fit everything.

    Parameters
    ----------
    heads
        Thumbnails cropped to the head, uint8 (n, 64, 64).
    groups
        int64 (n,), equal for slices that no split may separate.
    seed
        Of the drawing of references.

    Returns
    -------
    upright, upside_down
        float32 (n,) each; -1 if fewer than NEIGHBOURS references are left.
    """
    low = low_frequencies(heads)
    vectors = {
        name: unit_vectors(transform_low_frequencies(low, name)) for name in (*_UPRIGHT, *_UPSIDE_DOWN)
    }
    references = np.random.default_rng((0x0FF, seed)).permutation(len(heads))[:REFERENCES]
    both_ways = np.zeros(len(references), bool)
    for start in range(0, len(heads), _BLOCK):
        for name in _UPSIDE_DOWN:
            scores = vectors[name][start : start + _BLOCK] @ vectors["none"][references].T
            both_ways |= (scores >= _SAME).any(axis=0)
    references = references[~both_ways]
    if len(references) < NEIGHBOURS:
        return np.full(len(heads), -1, np.float32), np.full(len(heads), -1, np.float32)
    scores_by_transform = {
        name: _neighbour_scores(turned, vectors["none"], groups, references)
        for name, turned in vectors.items()
    }
    upright, upside_down = (
        np.max([scores_by_transform[name] for name in names], axis=0) for names in (_UPRIGHT, _UPSIDE_DOWN)
    )
    return upright, upside_down


def _neighbour_scores(
    vectors: Array, plain: Array, groups: NDArray[np.int64], references: NDArray[np.int64]
) -> Array:
    """Mean correlation of each of `vectors` with the nearest references of other groups, float32 (n,).

    vectors, plain: unit vectors of the transformed and of the plain slices, float32 (n, k).
    """
    means = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = vectors[block] @ plain[references].T
        scores[groups[block, None] == groups[None, references]] = -1
        means[block] = np.partition(scores, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:].mean(axis=1)
    return means
