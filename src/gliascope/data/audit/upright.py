"""Slices that stand on their head, told by what the others look like."""

import numpy as np
from numpy.typing import NDArray

from gliascope.data.audit.vectors import Array, Pixels, directions, low_frequencies, turn_low

# Of 6,240 distinct public slices (MRI and CT) without an up-down mirror image in the set, 88 % are found when
# turned round, and 5 to 7 (by seed) are flagged as they are. Unlike strangers say nothing, hence ALIKE.
MARGIN, ALIKE = 0.03, 0.8
REFERENCES = 3000  # slices to compare with; keeps the time linear
NEIGHBOURS = 5
_TWIN = 0.95
_BLOCK = 2048
_UPRIGHT = ("none", "flip")
_TURNED = ("turn 180", "flip, turn 180")  # the second mirrors top and bottom


def upside_down(heads: Pixels, groups: NDArray[np.int64], seed: int) -> tuple[Array, Array]:
    """How well each head, uint8 (n, 64, 64), fits other ones: as it is, and turned upside down, (n,) each.

    Mean correlation (of low frequencies) with the NEIGHBOURS most similar of REFERENCES slices of other
    groups, either way mirrored. References that the set holds upside down, too, do not count: they fit
    everything. -1 where fewer than NEIGHBOURS are left.
    """
    low = low_frequencies(heads)
    turned = {name: directions(turn_low(low, name)) for name in (*_UPRIGHT, *_TURNED)}
    chosen = np.random.default_rng((0x0FF, seed)).permutation(len(heads))[:REFERENCES]
    twin = np.zeros(len(chosen), bool)
    for start in range(0, len(heads), _BLOCK):
        for name in _TURNED:
            twin |= (turned[name][start : start + _BLOCK] @ turned["none"][chosen].T >= _TWIN).any(axis=0)
    chosen = chosen[~twin]
    if len(chosen) < NEIGHBOURS:
        return np.full(len(heads), -1, np.float32), np.full(len(heads), -1, np.float32)
    fits = {name: _fit(vectors, turned["none"], groups, chosen) for name, vectors in turned.items()}
    as_it_is, upside = (np.max([fits[name] for name in names], axis=0) for names in (_UPRIGHT, _TURNED))
    return as_it_is, upside


def _fit(vectors: Array, plain: Array, groups: NDArray[np.int64], chosen: NDArray[np.int64]) -> Array:
    fit = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = vectors[block] @ plain[chosen].T
        scores[groups[block, None] == groups[None, chosen]] = -1
        fit[block] = np.partition(scores, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:].mean(axis=1)
    return fit
