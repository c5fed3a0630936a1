"""Values that stand for "nothing was measured here", and whether those that were measured are of CT."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Floats = NDArray[np.float64]

SAMPLE_SIZE = 2**20
"""So many values are looked at, evenly taken: enough for shares of a thousandth."""

LOW_PLACEHOLDERS = (-1000.0, -1024.0, -2000.0, -2048.0, -3000.0, -3024.0, -9999.0, -32767.0, -32768.0)
"""What scanners and programs write outside the field of view, below all that is measured."""

HIGH_PLACEHOLDERS = (9999.0, 32767.0, 65535.0)
"""What they write there above all that is measured; or 2^31 - 1 and more, or anything FAR."""

_MIN_GAP_IN_WIDTHS = 100
"""So many times the width of the rest above it, a value would leave the rest next to no grey levels."""

_MIN_GAP = 100.0
"""A value of LOW is a placeholder only where it is so far from the rest, which air in CT is not."""

MAX_DRAWING_LEVELS = 16
"""With fewer levels beside it, an extreme value is a level of a mask or of a drawing."""

_MAX_LOW_PERCENTILE_HU = -500.0
"""Values whose lower percentile is under this may be Hounsfield units: air is -1000, and fills a good part of
any head CT. The minimum would not do: resampling gives MR some voxels far below zero."""


SOFT_TISSUE = (-20.0, 150.0)
"""Hounsfield units of brain, muscle and blood."""


def sample_values(images: Sequence[Values], count: int = SAMPLE_SIZE) -> Values:
    """About `count` values of all `images` together, evenly taken, in one dimension."""
    step = sum(image.size for image in images) // count | 1  # odd, so that columns take turns
    return np.concatenate([image.reshape(-1)[::step] for image in images])


@np.errstate(over="ignore")
def measured_range(values: Values, keep_mixtures: bool = False) -> tuple[float, float]:
    """The lowest and the highest value that may have been measured; what is beyond is a placeholder.

    mixed: count mixtures with placeholders as measured.

    A placeholder is one value that a thousandth of the pixels or more have, at one end and far from the rest:
    one of LOW, or any negative value as far from the rest as the rest is wide; one of HIGH, as far, or any
    FAR above. Values between a low placeholder and the rest, as interpolation leaves them, count as
    placeholders where they are farther below the rest than half its width, or clearly below zero where the
    rest is not. Without placeholders the range is infinite.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    levels, counts = np.unique(finite, return_counts=True)
    floor, ceiling = -np.inf, np.inf
    while (rest := _above_placeholder(levels, counts, keep_mixtures)) is not None:
        floor = rest
        kept = levels >= floor
        levels, counts = levels[kept], counts[kept]
    while len(levels) > MAX_DRAWING_LEVELS and counts[-1] >= counts.sum() / 1000:
        gap, width = levels[-1] - levels[-2], levels[-2] - levels[0]
        known = levels[-1] in HIGH_PLACEHOLDERS or levels[-1] >= 2**31 - 1
        if gap < (width if known else _MIN_GAP_IN_WIDTHS * width):
            break
        levels, counts = levels[:-1], counts[:-1]
        ceiling = float(levels[-1])
    return floor, ceiling


def _above_placeholder(levels: Floats, counts: NDArray[np.intp], mixed: bool) -> float | None:
    """The lowest measured level, if the lowest level of all that is no rarity is a placeholder."""
    often = np.flatnonzero(counts >= counts.sum() / 1000)
    if (
        not often.size
        or counts[: often[0]].sum() >= counts.sum() / 200
        or len(levels) - often[0] <= MAX_DRAWING_LEVELS
    ):
        return None
    level, levels, counts = levels[often[0]], levels[often[0] + 1 :], counts[often[0] + 1 :]
    bottom, low, high = levels[
        np.searchsorted(np.cumsum(counts), counts.sum() * np.array([0.01, 0.25, 0.995]))
    ]
    width, gap = high - low, bottom - level
    if not ((level in LOW_PLACEHOLDERS and gap >= _MIN_GAP) or (level < 0 and gap >= high - bottom > 0)):
        return None
    if mixed:
        return float(levels[0])
    limit = max(low - width / 2, -width / 20 if low >= 0 else -np.inf)
    return float(levels[np.searchsorted(levels, limit)])


def is_hounsfield(values: Values) -> bool:
    """Whether values may be Hounsfield units: far below zero, and with the looks of tissue above that.

    Placeholders apart, half must be air; or 30 % of what is above -300 must be SOFT_TISSUE, beside a
    twentieth of air or some fat. Fat is told from mixtures of tissue and placeholders by being half of what
    lies between air and tissue. Without air and fat (skull-stripped), what is not zero must look like brain:
    its median between 15 and 60, its quartiles at most 25 apart. A low placeholder alone is no sign of CT.
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
