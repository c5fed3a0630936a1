"""Values that stand for "nothing was measured here", and whether measured values are Hounsfield units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Floats = NDArray[np.float64]

SAMPLE_SIZE = 2**20
"""How many values are examined: enough for shares of a thousandth."""

LOW_PLACEHOLDERS = (-1000.0, -1024.0, -2000.0, -2048.0, -3000.0, -3024.0, -9999.0, -32767.0, -32768.0)
"""Values below all measured ones that scanners and programs write outside the field of view."""

HIGH_PLACEHOLDERS = (9999.0, 32767.0, 65535.0)
"""Values above all measured ones that scanners and programs write outside the field of view."""

_MIN_HUGE = 2.0**31 - 1
"""From this value on, a highest value is treated like HIGH_PLACEHOLDERS."""

_MIN_GAP_IN_WIDTHS = 100
"""Any other highest value is a placeholder if it is so many widths of the measured range above that range.

It would leave next to no grey levels to what was measured.
"""

_MIN_GAP = 100.0
"""How far below the measured values one of LOW_PLACEHOLDERS must be. Air in CT (-1000) is not so far."""

MAX_DRAWING_LEVELS = 16
"""With so few different values or fewer beside it, an extreme value is a level of a mask or a drawing."""

_MAX_LOW_PERCENTILE_HU = -500.0
"""Values may be Hounsfield units only if their lower percentile is below this.

Air is at -1000 and fills a good part of any head CT. The lowest value says nothing: resampling gives MR a few
voxels far below zero.
"""

SOFT_TISSUE = (-20.0, 150.0)
"""Hounsfield units of brain, muscle and blood."""


def sample_values(images: Sequence[Values], count: int = SAMPLE_SIZE) -> Values:
    """Take about `count` values, evenly spaced, from all images together; one-dimensional."""
    step = sum(image.size for image in images) // count | 1  # odd, so that columns take turns
    return np.concatenate([image.reshape(-1)[::step] for image in images])


@np.errstate(over="ignore")
def measured_range(values: Values, keep_mixtures: bool = False) -> tuple[float, float]:
    """Find the range of values that were measured; all values outside of it are placeholders.

    A placeholder is the lowest or the highest value, if at least a thousandth of all pixels have it and

    - it is one of LOW_PLACEHOLDERS and at least 100 below the measured values; or
    - it is negative and as far below the measured values as their range is wide; or
    - it is one of HIGH_PLACEHOLDERS, or at least 2^31 - 1, and as far above as their range is wide; or
    - it is a hundred times as far above.

    Interpolation leaves values between a low placeholder and the measured values. They count as placeholders
    if they are farther below the lower quartile than half the range's width, or clearly below zero where the
    measured values are not.

    Parameters
    ----------
    values
        Real values, of any shape.
    keep_mixtures
        Count interpolated values between a low placeholder and the measured values as measured.

    Returns
    -------
    floor, ceiling : float
        Lowest and highest measured value; minus and plus infinity where there is no placeholder.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    levels, counts = np.unique(finite, return_counts=True)
    floor, ceiling = -np.inf, np.inf
    while (lowest := _above_placeholder(levels, counts, keep_mixtures)) is not None:
        floor = lowest
        is_above = levels >= floor
        levels, counts = levels[is_above], counts[is_above]
    while len(levels) > MAX_DRAWING_LEVELS and counts[-1] >= counts.sum() / 1000:
        gap, width = levels[-1] - levels[-2], levels[-2] - levels[0]
        is_known = levels[-1] in HIGH_PLACEHOLDERS or levels[-1] >= _MIN_HUGE
        if gap < (width if is_known else _MIN_GAP_IN_WIDTHS * width):
            break
        levels, counts = levels[:-1], counts[:-1]
        ceiling = float(levels[-1])
    return floor, ceiling


def _above_placeholder(levels: Floats, counts: NDArray[np.intp], keep_mixtures: bool) -> float | None:
    """Return the lowest measured level if the lowest level that is not rare is a placeholder, else None."""
    frequent = np.flatnonzero(counts >= counts.sum() / 1000)
    if (
        not frequent.size
        or counts[: frequent[0]].sum() >= counts.sum() / 200
        or len(levels) - frequent[0] <= MAX_DRAWING_LEVELS
    ):
        return None
    level, levels, counts = levels[frequent[0]], levels[frequent[0] + 1 :], counts[frequent[0] + 1 :]
    bottom, low, high = levels[
        np.searchsorted(np.cumsum(counts), counts.sum() * np.array([0.01, 0.25, 0.995]))
    ]
    width, gap = high - low, bottom - level
    if not ((level in LOW_PLACEHOLDERS and gap >= _MIN_GAP) or (level < 0 and gap >= high - bottom > 0)):
        return None
    if keep_mixtures:
        return float(levels[0])
    limit = max(low - width / 2, -width / 20 if low >= 0 else -np.inf)
    return float(levels[np.searchsorted(levels, limit)])


def is_hounsfield(values: Values) -> bool:
    """Whether values look like Hounsfield units of a head.

    The lower percentile must be below -500. Placeholders apart, one of these must hold as well:

    - at least half of the values are air;
    - of the values above -300 at least 30 % are SOFT_TISSUE, and a twentieth of all is air, or 3 % is fat and
      fat makes up half of what lies between air and tissue. Mixtures of tissue and placeholders would be
      spread evenly over that interval;
    - the values other than zero are those of a brain without its skull: their median between 15 and 60, their
      quartiles at most 25 apart.

    A low placeholder alone is no sign of CT.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or np.percentile(finite, 0.5) >= _MAX_LOW_PERCENTILE_HU:
        return False
    floor, ceiling = measured_range(finite, keep_mixtures=True)
    measured = finite[(finite >= floor) & (finite <= ceiling)]

    def share(low: float, high: float) -> float:
        return float(((measured >= low) & (measured <= high)).mean())

    air, fat = share(-1100, -850), share(-200, -50)
    if air >= 0.5:
        return True
    if share(*SOFT_TISSUE) >= 0.3 * share(-300, np.inf) > 0 and (
        air >= 0.05 or (fat >= 0.03 and fat >= share(-850, -50) / 2)
    ):
        return True
    lower, median, upper = (
        np.percentile(measured[measured != 0], (25, 50, 75)) if measured.any() else (0, 0, 0)
    )
    return bool(15 <= median <= 60 and lower >= 10 and upper - lower <= 25)
