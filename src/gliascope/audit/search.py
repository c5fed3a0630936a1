"""Exact search for all pairs of thumbnails whose correlation reaches a threshold.

A matrix product of short vectors bounds the correlation of all pairs from above, block by block. Only pairs
whose bound reaches the threshold are compared pixel by pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.audit.vectors import (
    TRANSFORMS,
    Array,
    Pixels,
    batches,
    bounding_vectors,
    correlation,
    low_frequencies,
    transform_low_frequencies,
)

BLOCK = 4096  # rows and columns of the matrix of bounds that are computed at a time
COMPARED = 64  # pairs compared at a time, so that their float64 pixels fit a processor's cache
ROUNDING = 1e-4  # far above the rounding error of float32 products

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of thumbnails and their correlation.

    Parameters
    ----------
    first, second
        Row of either thumbnail, int64 (pairs,), first < second.
    correlation
        float64 (pairs,).
    """

    first: Rows
    second: Rows
    correlation: NDArray[np.float64]

    @classmethod
    def concatenate(cls, chunks: list["Pairs"]) -> "Pairs":
        """Join several tables of pairs, which may be none, in their order."""
        empty = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        columns = zip(*((one.first, one.second, one.correlation) for one in [empty, *chunks]), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


class ExhaustiveSearch:
    """Search that compares all pairs.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).
    """

    def __init__(self, thumbnails: Pixels) -> None:
        self.thumbnails = thumbnails
        self.low = low_frequencies(thumbnails)
        self.vectors = bounding_vectors(self.low)

    def pairs(self, transform: str, threshold: float) -> Pairs:
        """Find all pairs where one thumbnail correlates with the other after a transform.

        Parameters
        ----------
        transform
            A key of `TRANSFORMS`, applied to the second thumbnail of each pair.
        threshold
            Least correlation.
        """
        transformed = bounding_vectors(transform_low_frequencies(self.low, transform))
        return Pairs.concatenate(
            [
                self._compare(first, second, transform, threshold)
                for first, second in self._candidates(transformed, threshold)
            ]
        )

    def recall(self, retrieved: Pairs, threshold: float) -> float | None:
        """Share of all pairs that `retrieved`, the pairs under the transform "none", holds: all of them."""
        return 1.0

    def _candidates(self, transformed: Array, threshold: float) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of rows whose bound reaches the threshold. transformed: bounding vectors, (n, k)."""
        n = len(transformed)
        for top in range(0, n, BLOCK):
            for left in range(top, n, BLOCK):
                bound = self.vectors[top : top + BLOCK] @ transformed[left : left + BLOCK].T
                first, second = np.divmod(np.flatnonzero(bound >= threshold - ROUNDING), bound.shape[1])
                first, second = first + top, second + left
                ordered = first < second
                yield first[ordered], second[ordered]

    def _compare(self, first: Rows, second: Rows, transform: str, threshold: float) -> Pairs:
        """The pairs among these rows, int64 (m,) each, whose exact correlation reaches the threshold."""
        found = []
        for batch in batches(len(first), COMPARED):
            i, j = first[batch], second[batch]
            scores = correlation(self.thumbnails[i], TRANSFORMS[transform](self.thumbnails[j]))  # type: ignore[arg-type]
            alike = scores >= threshold
            found.append(Pairs(i[alike], j[alike], scores[alike]))
        return Pairs.concatenate(found)
