"""For sets too large to compare all pairs: an inverted file that finds nearly all."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.data.audit.search import ROUNDING, Pairs, Search
from gliascope.data.audit.vectors import Array, Pixels

EXACT = 200_000  # slices; up to here all pairs are compared
QUERIES = 1024
SAMPLE = 1000  # slices whose pairs are also searched for exactly
PROBED = 1 / 16  # of the cells


def make_search(thumbnails: Pixels) -> Search:
    """Exact up to EXACT thumbnails, uint8 (n, 64, 64); by an index above."""
    return Search(thumbnails) if len(thumbnails) <= EXACT else IndexedSearch(thumbnails)


def cells(vectors: Array) -> Any:
    """A faiss index of vectors (n, k) by inner product: k-means cells, of which a query probes the nearest.

    Jégou, Douze & Schmid 2011 (inverted file, without compression).
    """
    import faiss

    count = max(1, round(2 * len(vectors) ** 0.5))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], count, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 64 * count]])
    index.add(vectors)
    index.nprobe = max(8, round(PROBED * count))
    return index


class IndexedSearch(Search):
    """`Search` whose candidates come from an index; `recall` tells how many of all pairs it finds."""

    def __init__(self, thumbnails: Pixels) -> None:
        super().__init__(thumbnails)
        self.index = cells(self.vectors)

    def recall(self, found: Pairs, threshold: float) -> float | None:
        """Share of the plain pairs of a sample of slices that were found; None where they have no pair."""
        n = len(self.thumbnails)
        sample = np.sort(np.random.default_rng(1).permutation(n)[:SAMPLE])
        exact = {pair for row in sample for pair in self._of(row, threshold)}
        have = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
        return len(exact & have) / len(exact) if exact else None

    def _of(self, row: int, threshold: float) -> Iterator[tuple[int, int]]:
        """All plain pairs, exactly, that a slice is in."""
        others = np.flatnonzero(self.vectors @ self.vectors[row] >= threshold - ROUNDING)
        others = others[others != row]
        first, second = np.minimum(row, others), np.maximum(row, others)
        kept = self._scored(first, second, "none", threshold)
        yield from zip(kept.first.tolist(), kept.second.tolist(), strict=True)

    def _candidates(
        self, turned: Array, threshold: float
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for start in range(0, len(turned), QUERIES):
            limits, _, rows = self.index.range_search(turned[start : start + QUERIES], threshold - ROUNDING)
            columns = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
            above = rows < columns
            yield rows[above], columns[above]
