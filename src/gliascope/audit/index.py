"""Approximate search for sets that are too large to compare all pairs: an inverted file index (faiss)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gliascope.audit.search import ROUNDING, ExhaustiveSearch, Pairs, Rows
from gliascope.audit.vectors import Array, Pixels

EXHAUSTIVE_UP_TO = 200_000  # slices
QUERIES = 1024  # vectors looked up at a time
SAMPLE = 1000  # slices on which the recall is estimated
PROBED = 1 / 16  # share of the cells that a query looks into


def make_search(thumbnails: Pixels) -> ExhaustiveSearch:
    """Make the exhaustive search for up to `EXHAUSTIVE_UP_TO` thumbnails, else the index.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).
    """
    kind = ExhaustiveSearch if len(thumbnails) <= EXHAUSTIVE_UP_TO else IndexedSearch
    return kind(thumbnails)


def inverted_file(vectors: Array) -> Any:
    """Build a faiss index for inner products: k-means cells, of which a query looks into the nearest.

    Parameters
    ----------
    vectors
        float32 (n, k).

    Returns
    -------
    faiss.IndexIVFFlat
        Holds the vectors uncompressed.

    References
    ----------
    Jégou, Douze & Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 33:117, 2011.
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


class IndexedSearch(ExhaustiveSearch):
    """Search whose candidate pairs come from an index; `recall` estimates the share of pairs it finds.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).
    """

    def __init__(self, thumbnails: Pixels) -> None:
        super().__init__(thumbnails)
        self.index = inverted_file(self.vectors)

    def recall(self, retrieved: Pairs, threshold: float) -> float | None:
        """Estimate the share of all pairs that `retrieved`, the pairs under the transform "none", holds.

        A sample of slices is compared with all others. None if the sample is in no pair.
        """
        n = len(self.thumbnails)
        sample = np.sort(np.random.default_rng(1).permutation(n)[:SAMPLE])
        exact = {pair for row in sample for pair in self._pairs_of(row, threshold)}
        have = set(zip(retrieved.first.tolist(), retrieved.second.tolist(), strict=True))
        return len(exact & have) / len(exact) if exact else None

    def _pairs_of(self, row: int, threshold: float) -> Iterator[tuple[int, int]]:
        """All untransformed pairs of one slice, by comparison with all others."""
        others = np.flatnonzero(self.vectors @ self.vectors[row] >= threshold - ROUNDING)
        others = others[others != row]
        first, second = np.minimum(row, others), np.maximum(row, others)
        pairs = self._compare(first, second, "none", threshold)
        yield from zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)

    def _candidates(self, transformed: Array, threshold: float) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of rows that the index finds. transformed: bounding vectors, (n, k)."""
        for start in range(0, len(transformed), QUERIES):
            limits, _, first = self.index.range_search(
                transformed[start : start + QUERIES], threshold - ROUNDING
            )
            second = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
            ordered = first < second
            yield first[ordered], second[ordered]
