"""Thumbnails as vectors: exact correlation, and the low frequencies that bound it cheaply."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gliascope.data.scan import THUMBNAIL

LOW = 12  # LOW x LOW of the 64 x 64 DCT coefficients are kept: about three quarters of the energy
_BATCH = 256  # thumbnails at a time: what is made of them fits a processor's cache

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def _turned(turns: int, flip: bool) -> Callable[[NDArray[np.generic]], NDArray[np.generic]]:
    """Quarter turns, counter-clockwise, after a left-right flip or not, of (n, h, w) arrays."""
    return lambda images: np.rot90(images[..., ::-1] if flip else images, turns, (-2, -1))


# The symmetries of a square: each one's inverse is among them.
TRANSFORMS: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "none": _turned(0, flip=False),
    "flip": _turned(0, flip=True),
    "turn 90": _turned(1, flip=False),
    "turn 180": _turned(2, flip=False),
    "turn 270": _turned(3, flip=False),
    "flip, turn 90": _turned(1, flip=True),
    "flip, turn 180": _turned(2, flip=True),
    "flip, turn 270": _turned(3, flip=True),
}


def batches(n: int, size: int = _BATCH) -> list[slice]:
    """Slices of `size` that cover n rows."""
    return [slice(start, start + size) for start in range(0, n, size)]


def correlation(a: Pixels, b: Pixels) -> NDArray[np.float64]:
    """Normalised cross-correlation (Pearson's r) of pairs of images, uint8 (n, h, w) each; 0 for blank ones.

    All sums are of integers below 2**53, so the result is the same in any order on any machine.
    """
    x, y = (images.reshape(len(images), -1).astype(np.float64) for images in (a, b))
    size = x.shape[1]
    sums = x.sum(1), y.sum(1)
    covariance = size * np.einsum("nk,nk->n", x, y) - sums[0] * sums[1]
    variances = [size * np.einsum("nk,nk->n", z, z) - s * s for z, s in zip((x, y), sums, strict=True)]
    scale = np.sqrt(variances[0]) * np.sqrt(variances[1])
    r: NDArray[np.float64] = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return r


def unit(images: NDArray[np.generic]) -> Array:
    """Images (n, h, w) with their mean removed and unit norm, float32; a blank image becomes zeros."""
    values = images.astype(np.float32)
    values -= values.mean((1, 2), keepdims=True)
    return directions(values).reshape(values.shape)


def directions(values: Array) -> Array:
    """Each of (n, ...) as a vector of unit norm, (n, k); next to nothing becomes zeros."""
    vectors = values.reshape(len(values), -1)
    norm = np.sqrt(np.einsum("nk,nk->n", vectors, vectors))[:, None]
    scaled: Array = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 1e-3)
    return scaled


def low_frequencies(thumbnails: Pixels, size: int = LOW) -> Array:
    """The lowest DCT-II coefficients of each unit thumbnail, float32 (n, size, size).

    The transform is orthonormal, so inner products of them are the low-frequency part of the correlation;
    and it turns as the image does (see `turn_low`).
    """
    from scipy.fft import dctn

    low = np.empty((len(thumbnails), size, size), dtype=np.float32)
    for batch in batches(len(thumbnails)):
        low[batch] = dctn(unit(thumbnails[batch]), axes=(1, 2), norm="ortho")[:, :size, :size]
    return low


def turn_low(low: Array, name: str) -> Array:
    """Low frequencies of the transformed images: mirroring an axis flips the sign of its odd frequencies."""
    # What the transform does to the axes is read off two ramps, so there is one definition of each transform.
    ramp = np.arange(THUMBNAIL, dtype=np.float32)
    rows = TRANSFORMS[name](np.broadcast_to(ramp[:, None], (1, THUMBNAIL, THUMBNAIL)))[0]
    columns = TRANSFORMS[name](np.broadcast_to(ramp[None, :], (1, THUMBNAIL, THUMBNAIL)))[0]
    swapped = rows[0, 0] == rows[-1, 0]
    if swapped:
        low, rows, columns = low.swapaxes(1, 2), columns, rows
    sign = (-1.0) ** np.arange(low.shape[1], dtype=np.float32)
    if rows[0, 0] != 0:
        low = low * sign[:, None]
    if columns[0, 0] != 0:
        low = low * sign[None, :]
    return low


def bounding(low: Array) -> Array:
    """Vectors (n, size * size + 1) whose inner product is never below the correlation of the thumbnails.

    Split each unit vector into its low part Px and the rest Qx; then, by Cauchy and Schwarz,
    <x, y> = <Px, Py> + <Qx, Qy> <= <Px, Py> + |Qx||Qy|. The last coordinate is |Qx|.
    """
    flat = low.reshape(len(low), -1)
    rest = np.sqrt(np.clip(1 - np.einsum("nk,nk->n", flat, flat), 0, None))
    return np.ascontiguousarray(np.column_stack([flat, rest]), dtype=np.float32)
