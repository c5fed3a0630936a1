"""Quotients and means of which some are not defined: NaN stands for those, and no mean counts them."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def divide_or_nan(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient; NaN where the denominator is not above 0."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))


def mean_defined(values: Floats) -> Floats:
    """Mean over the last axis without its NaN; NaN where nothing else is left."""
    known = np.isfinite(values)
    return divide_or_nan(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))
