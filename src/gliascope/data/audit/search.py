"""All pairs of thumbnails whose correlation reaches a threshold: exact, by blocked products with pruning."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.data.audit.vectors import (
    TRANSFORMS,
    Array,
    Pixels,
    batches,
    bounding,
    correlation,
    low_frequencies,
    turn_low,
)

BLOCK = 4096
SCORED = 64  # pairs at a time, whose float64 pixels fit a processor's cache
ROUNDING = 1e-4  # far above what float32 products lose


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows: first < second, int64 (pairs,); correlation: float64 (pairs,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: NDArray[np.float64]

    @classmethod
    def join(cls, parts: list["Pairs"]) -> "Pairs":
        """Put pairs one after the other."""
        empty = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        columns = zip(*((part.first, part.second, part.correlation) for part in [empty, *parts]), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


class Search:
    """Thumbnails, uint8 (n, 64, 64), made ready to be searched under each transform."""

    def __init__(self, thumbnails: Pixels) -> None:
        self.thumbnails = thumbnails
        self.low = low_frequencies(thumbnails)
        self.vectors = bounding(self.low)

    def pairs(self, transform: str, threshold: float) -> Pairs:
        """All pairs where the correlation of one thumbnail with the other, transformed, is >= threshold."""
        turned = bounding(turn_low(self.low, transform))
        found = [
            self._scored(rows, columns, transform, threshold)
            for rows, columns in self._candidates(turned, threshold)
        ]
        return Pairs.join(found)

    def recall(self, found: Pairs, threshold: float) -> float | None:
        """Share of all plain pairs that were found: every pair is compared."""
        return 1.0

    def _candidates(
        self, turned: Array, threshold: float
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        n = len(turned)
        for top in range(0, n, BLOCK):
            for left in range(top, n, BLOCK):
                bound = self.vectors[top : top + BLOCK] @ turned[left : left + BLOCK].T
                rows, columns = np.divmod(np.flatnonzero(bound >= threshold - ROUNDING), bound.shape[1])
                rows, columns = rows + top, columns + left
                above = rows < columns
                yield rows[above], columns[above]

    def _scored(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], transform: str, threshold: float
    ) -> Pairs:
        kept = []
        for batch in batches(len(rows), SCORED):
            i, j = rows[batch], columns[batch]
            scores = correlation(self.thumbnails[i], TRANSFORMS[transform](self.thumbnails[j]))  # type: ignore[arg-type]
            good = scores >= threshold
            kept.append(Pairs(i[good], j[good], scores[good]))
        return Pairs.join(kept)
