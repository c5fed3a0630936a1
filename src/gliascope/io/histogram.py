"""How often each grey value occurs, kept exactly, so that many files can be counted one after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.io import intensity
from gliascope.io.intensity import Values
from gliascope.io.intensity_range import PERCENTILES, IntensityRange
from gliascope.io.placeholders import SAMPLE_SIZE, measured_range

_BINCOUNT_BYTES = 2  # integers of at most so many bytes are counted by `bincount`, which is faster


def is_short_integer(values: Values) -> bool:
    """Whether the type of these values has so few different values that counting them is cheap."""
    return values.dtype.kind in "iu" and values.dtype.itemsize <= _BINCOUNT_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often each value occurs.

    Attributes
    ----------
    values : ndarray
        float64 (n,), all different and finite, in ascending order.
    counts : ndarray
        int64 (n,), how often each of `values` occurs.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def from_values(cls, stored: Values, rescale: Callable[[Values], Values] = np.asarray) -> "Histogram":
        """Count the values of an array; values that are not finite are left out.

        Parameters
        ----------
        stored
            Values as the file stores them, of any shape.
        rescale
            Makes real values of stored ones, each by itself. It is called once for each different value.
        """
        if is_short_integer(stored) and stored.size:
            lowest = int(stored.min())
            all_counts = np.bincount((stored.astype(np.int32) - lowest).ravel())
            occurring = np.flatnonzero(all_counts)
            return cls._collect(rescale((occurring + lowest).astype(stored.dtype)), all_counts[occurring])
        values, counts = np.unique(stored, return_counts=True)
        return cls._collect(rescale(values), counts)

    @classmethod
    def merge(cls, histograms: Sequence["Histogram"]) -> "Histogram":
        """Add up several histograms; their order does not matter."""
        return cls._collect(
            np.concatenate([one.values for one in histograms]),
            np.concatenate([one.counts for one in histograms]),
        )

    @classmethod
    def _collect(cls, values: Values, counts: NDArray[np.int64]) -> "Histogram":
        """Sort values that may occur several times, and add up the counts of each."""
        values = np.asarray(values, np.float64)
        finite = np.isfinite(values)
        distinct, index = np.unique(values[finite], return_inverse=True)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, index, counts[finite])
        return cls(distinct, total)

    def values_at(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the values at these positions, from 0, of all counted values in ascending order."""
        return self.values[np.searchsorted(np.cumsum(self.counts), positions, side="right")]

    def sample(self) -> NDArray[np.float64]:
        """Return about SAMPLE_SIZE of all counted values, evenly taken, in ascending order."""
        step = max(1, int(self.counts.sum()) // SAMPLE_SIZE)
        taken = -(-np.cumsum(self.counts) // step)
        return np.repeat(self.values, np.diff(taken, prepend=0))

    def percentile_range(self) -> IntensityRange | None:
        """Return the range between the `intensity.PERCENTILES` of the values, placeholders left out.

        Where both percentiles are equal, the range is from the lowest to the highest value. None if nothing
        was counted.
        """
        if not len(self.values):
            return None
        floor, ceiling = measured_range(self.sample())
        is_measured = (self.values >= floor) & (self.values <= ceiling)
        measured = Histogram(self.values[is_measured], self.counts[is_measured])
        total = int(measured.counts.sum())
        low_high = intensity.interpolate_percentiles(
            measured.values_at(intensity.percentile_positions(total)), total
        )
        return IntensityRange(PERCENTILES, (*(low_high or measured.values[[0, -1]].tolist()), floor, ceiling))
