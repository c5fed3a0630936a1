"""Grey values of any depth, brought to uint8; colour that is grey, brought to one channel."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import DamagedFileError
from gliascope.io.placeholders import MAX_DRAWING_LEVELS, SOFT_TISSUE, is_hounsfield, sample_values

_TAIL = 0.005
PERCENTILES = (0.5, 99.5)
"""Ends of the grey scale where the file states no window: a few hot voxels would else darken the rest."""

BRAIN_WINDOW = (40.0, 80.0)
"""Centre and width in Hounsfield units, the usual one for brain tissue: -1000 (air) to 3000 (bone) squeezed
into 256 grey levels would leave about five of them to grey matter, white matter and tumour together."""

MIN_GREY_LEVELS = 64
"""A picture of fewer grey levels than this between its darkest and its brightest shows next to nothing."""

_JUDGED = 2**16
"""Pixels by which a picture is judged."""

Values = NDArray[Any]
Pixels = NDArray[np.uint8]
ValueRange = tuple[float, float]
"""The values that become black and white."""


def percentile_range(
    path: Path, images: Sequence[Values], rescale: Callable[[Values], Values] = np.asarray
) -> ValueRange:
    """The PERCENTILES of the finite values of all `images` together, so that slices of one file compare.

    real: a linear function that makes real values of stored ones. Falls back to lowest and highest value
    where the percentiles coincide, as in a mask. Raises DamagedFileError if no value is finite.
    """
    parts = [_finite(image) for image in images]
    finite = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if finite.size == 0:
        raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
    picked = percentile_positions(finite.size)
    found = interpolate_percentiles(rescale(np.partition(finite, np.unique(picked))[picked]), finite.size)
    low, high = found or sorted(rescale(np.array([finite.min(), finite.max()])).tolist())
    return float(low), float(high)


def percentile_positions(count: int) -> NDArray[np.intp]:
    """Places in `count` ordered values that PERCENTILES lie between: the same from either end."""
    place = math.floor(_TAIL * (count - 1))
    after = min(place + 1, count - 1)
    return np.array([place, after, count - 1 - after, count - 1 - place])


def interpolate_percentiles(picked: Values, count: int) -> ValueRange | None:
    """The PERCENTILES of `count` values of which those at `picks(count)` are given; None if they coincide."""
    lower, above, below, upper = np.asarray(picked, np.float64).tolist()
    if lower > upper:  # by a negative slope
        lower, above, below, upper = upper, below, above, lower
    share = _TAIL * (count - 1) % 1
    low, high = lower + (above - lower) * share, upper - (upper - below) * share
    return (low, high) if low < high else None


def scale_linearly(values: Values, low: float, high: float) -> Pixels:
    """Map `low` and less to 0, `high` and more to 255, linearly between. Non-finite values give 0.

    Where `low` equals `high` this is a threshold, so that a constant image is 0 everywhere.
    """
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    with np.errstate(invalid="ignore"):  # signalling NaNs
        real = np.array(values, np.float64)
    if values.dtype.kind == "f":
        real[~np.isfinite(real)] = low
    if not low < high:
        return np.where(real > low, 255, 0).astype(np.uint8)
    np.clip(real, low, high, out=real)
    # Halves, because high - low itself may be beyond the largest float.
    real /= 2
    real -= low / 2
    real /= max(high / 2 - low / 2, np.finfo(np.float64).tiny)
    real *= 255
    real += 0.5
    return real.astype(np.uint8)


def apply_window(values: Values, centre: float, width: float, function: str = "LINEAR") -> Pixels:
    """Apply a window: DICOM PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    `width` is at least 1 for LINEAR and above 0 for the others. Non-finite values give 0.
    """
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            curve = 1 / (1 + np.exp(-4 * (np.asarray(values, np.float64) - centre) / width))
        return scale_linearly(np.where(np.isfinite(values), curve, 0.0), 0.0, 1.0)
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    return scale_linearly(values, centre - width / 2, centre + width / 2)


@np.errstate(over="ignore", invalid="ignore")
def hides_content(images: Sequence[Values], shown: Sequence[Pixels]) -> bool:
    """Whether `shown`, which a declared range made of `images`, shows next to nothing of what they hold.

    That is a picture of fewer than NARROW grey levels from end to end, or one in which 95 % of what stands
    out of the background is black or white: what is above the lowest tenth of the images' own spread or, in
    Hounsfield units, soft tissue. Images in which nothing stands out, or of LEVELS values at most, hide
    nothing: they are blank, or masks. Of colours the first counts alone, as their values are no brightness.
    """
    values = sample_values(images, _JUDGED)
    finite = values[np.isfinite(values)]
    if (
        len(np.unique(finite[:: max(1, finite.size // 4096)])) <= MAX_DRAWING_LEVELS
        and len(np.unique(finite)) <= MAX_DRAWING_LEVELS
    ):
        return False
    low, high = np.percentile(finite, PERCENTILES)
    if is_hounsfield(finite):
        outstanding = (values >= SOFT_TISSUE[0]) & (values <= SOFT_TISSUE[1])
    else:
        outstanding = values > low + (high / 10 - low / 10)
    if outstanding.mean() < 0.001:
        return False
    if shown[0].ndim > images[0].ndim:
        channels = [
            sample_values([picture[..., channel] for picture in shown], _JUDGED) for channel in range(3)
        ]
        return all(_narrow(channel) for channel in channels)
    pixels = sample_values(shown, _JUDGED)
    return _narrow(pixels) or bool(np.isin(pixels[outstanding], (0, 255)).mean() >= 0.95)


def _narrow(pixels: Pixels) -> bool:
    darkest, brightest = np.percentile(pixels, (0.1, 99.9))
    return bool(brightest - darkest < MIN_GREY_LEVELS)


def one_channel_if_grey(pixels: Values) -> Values:
    """Drop two channels of an RGB image (height, width, 3) if all three are exactly equal.

    The same picture saved as grey and as RGB then has the same pixels, hence the same hash.
    """
    first = pixels[..., 0]
    if (first == pixels[..., 1]).all() and (first == pixels[..., 2]).all():
        return np.ascontiguousarray(first)
    return pixels


def _finite(values: Values) -> Values:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
