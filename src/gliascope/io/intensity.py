"""Bring grey values of any depth to uint8, and find declared ranges that would hide what a slice shows."""

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
"""Percentiles that become black and white where a file states no window.

With the lowest and highest value instead, a few very bright voxels would darken all others.
"""

BRAIN_WINDOW = (40.0, 80.0)
"""Centre and width, in Hounsfield units, of the usual window for brain tissue.

Air (-1000) to bone (3000) in 256 grey levels would leave about five of them to grey matter, white matter and
tumour together.
"""

MIN_GREY_LEVELS = 64
"""A slice with fewer grey levels between its darkest and its brightest pixels shows next to nothing."""

_COMPARED = 2**16
"""How many pixels `hides_content` compares."""

Values = NDArray[Any]
Pixels = NDArray[np.uint8]
ValueRange = tuple[float, float]
"""The value that becomes black, and the value that becomes white."""


def percentile_range(
    path: Path, images: Sequence[Values], rescale: Callable[[Values], Values] = np.asarray
) -> ValueRange:
    """Find the PERCENTILES of the finite values of all images together, so that slices of one file compare.

    Parameters
    ----------
    path
        File to name in errors.
    images
        Stored values, of any shape.
    rescale
        A linear function that makes real values of stored ones.

    Returns
    -------
    tuple of float
        Both percentiles as real values. The lowest and the highest value where both are equal, as in a mask.

    Raises
    ------
    DamagedFileError
        If no value is finite.
    """
    parts = [_finite(image) for image in images]
    finite = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if finite.size == 0:
        raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
    positions = percentile_positions(finite.size)
    values = rescale(np.partition(finite, np.unique(positions))[positions])
    percentiles = interpolate_percentiles(values, finite.size)
    low, high = percentiles or sorted(rescale(np.array([finite.min(), finite.max()])).tolist())
    return float(low), float(high)


def percentile_positions(count: int) -> NDArray[np.intp]:
    """Find which of `count` ordered values the PERCENTILES lie between.

    Returns
    -------
    ndarray
        Four positions, from 0: below and above the lower percentile, below and above the upper one. They are
        symmetric, so that a negative slope changes nothing.
    """
    position = math.floor(_TAIL * (count - 1))
    following = min(position + 1, count - 1)
    return np.array([position, following, count - 1 - following, count - 1 - position])


def interpolate_percentiles(values: Values, count: int) -> ValueRange | None:
    """Compute the PERCENTILES of `count` values from those at the `percentile_positions`.

    Parameters
    ----------
    values
        The four values at `percentile_positions(count)`.
    count
        How many values there are in all.

    Returns
    -------
    tuple of float or None
        None if both percentiles are equal.
    """
    lower, above, below, upper = np.asarray(values, np.float64).tolist()
    if lower > upper:  # by a negative slope
        lower, above, below, upper = upper, below, above, lower
    share = _TAIL * (count - 1) % 1
    low, high = lower + (above - lower) * share, upper - (upper - below) * share
    return (low, high) if low < high else None


def scale_linearly(values: Values, low: float, high: float) -> Pixels:
    """Map values linearly to uint8: `low` and less to 0, `high` and more to 255, values not finite to 0.

    Where `low` equals `high`, higher values become 255 and all others 0, so that a constant image is black.

    Examples
    --------
    >>> scale_linearly(np.array([-1.0, 0.0, 1.0, 2.0, np.nan]), 0.0, 2.0)
    array([  0,   0, 128, 255,   0], dtype=uint8)
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
    """Apply a DICOM window to real values.

    Parameters
    ----------
    values
        Real values, of any shape; those that are not finite become 0.
    centre, width
        Of the window. The width is at least 1 for LINEAR and above 0 for the other functions.
    function
        LINEAR, LINEAR_EXACT or SIGMOID.

    Returns
    -------
    ndarray
        uint8, of the same shape.

    References
    ----------
    DICOM PS3.3, C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    Examples
    --------
    >>> apply_window(np.array([-1000.0, 0.0, 40.0, 80.0, 3000.0]), 40, 80)
    array([  0,   0, 129, 255, 255], dtype=uint8)
    """
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            curve = 1 / (1 + np.exp(-4 * (np.asarray(values, np.float64) - centre) / width))
        return scale_linearly(np.where(np.isfinite(values), curve, 0.0), 0.0, 1.0)
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    return scale_linearly(values, centre - width / 2, centre + width / 2)


@np.errstate(over="ignore", invalid="ignore")
def hides_content(images: Sequence[Values], pixels: Sequence[Pixels]) -> bool:
    """Whether pixels made by a declared range show next to nothing of the values they were made of.

    They do if fewer than MIN_GREY_LEVELS lie between the darkest and the brightest of them, or if at least
    95 % of what stands out of the background is plain black or plain white. In Hounsfield units soft tissue
    stands out; otherwise, what is more than a tenth of the way from the lower to the upper percentile.

    Nothing is hidden where nothing stands out, nor where there are at most MAX_DRAWING_LEVELS values: such
    images are blank, or masks.

    Parameters
    ----------
    images
        Values of each slice.
    pixels
        What the range made of each slice, uint8. Where these have colour and the values have none, as by a
        palette, the values are no brightness, so only the number of grey levels is checked.
    """
    values = sample_values(images, _COMPARED)
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
    if pixels[0].ndim > images[0].ndim:
        channels = [sample_values([one[..., channel] for one in pixels], _COMPARED) for channel in range(3)]
        return all(_has_few_levels(channel) for channel in channels)
    compared = sample_values(pixels, _COMPARED)
    return _has_few_levels(compared) or bool(np.isin(compared[outstanding], (0, 255)).mean() >= 0.95)


def _has_few_levels(pixels: Pixels) -> bool:
    darkest, brightest = np.percentile(pixels, (0.1, 99.9))
    return bool(brightest - darkest < MIN_GREY_LEVELS)


def one_channel_if_grey(pixels: Values) -> Values:
    """Return one channel of an RGB image (height, width, 3) if all three are equal, else the image itself.

    The same slice saved as grey and as RGB then has the same pixels, hence the same hash.
    """
    first = pixels[..., 0]
    if (first == pixels[..., 1]).all() and (first == pixels[..., 2]).all():
        return np.ascontiguousarray(first)
    return pixels


def _finite(values: Values) -> Values:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
