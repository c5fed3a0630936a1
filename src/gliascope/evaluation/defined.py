"""Quotients and means in which NaN stands for an undefined number."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def divide_or_nan(numerator: Floats, denominator: Floats) -> Floats:
    """Divide element by element; NaN where the denominator is not above 0."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))


def mean_defined(values: Floats) -> Floats:
    """Compute the mean over the last axis without NaN; NaN where nothing else is left."""
    known = np.isfinite(values)
    return divide_or_nan(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))
