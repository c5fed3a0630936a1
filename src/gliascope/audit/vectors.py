"""Thumbnails as vectors: exact correlation, and a cheap upper bound of it from the lowest frequencies.

A thumbnail is a grey picture of 64 x 64 pixels. Its two-dimensional discrete cosine transform (DCT-II) is
orthonormal, so inner products of coefficients are inner products of pixels. The lowest 12 x 12 coefficients
hold about three quarters of the energy.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gliascope.dataset.scan import THUMBNAIL_SIZE

LOW = 12  # LOW x LOW coefficients of the DCT are kept
_BATCH = 256  # thumbnails at a time, so that what is computed of them fits a processor's cache

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def _rotation(quarter_turns: int, flip: bool) -> Callable[[NDArray[np.generic]], NDArray[np.generic]]:
    """Counter-clockwise quarter turns, after a left-right flip or not, of (n, height, width) arrays."""
    return lambda images: np.rot90(images[..., ::-1] if flip else images, quarter_turns, (-2, -1))


# The eight symmetries of a square. The inverse of each is among them.
TRANSFORMS: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "none": _rotation(0, flip=False),
    "flip": _rotation(0, flip=True),
    "turn 90": _rotation(1, flip=False),
    "turn 180": _rotation(2, flip=False),
    "turn 270": _rotation(3, flip=False),
    "flip, turn 90": _rotation(1, flip=True),
    "flip, turn 180": _rotation(2, flip=True),
    "flip, turn 270": _rotation(3, flip=True),
}


def batches(n: int, size: int = _BATCH) -> list[slice]:
    """Consecutive Python slices of `size` rows that cover `n` rows; the last may reach beyond `n`."""
    return [slice(start, start + size) for start in range(0, n, size)]


def correlation(a: Pixels, b: Pixels) -> NDArray[np.float64]:
    """Normalised cross-correlation (Pearson's r) of each image in `a` with the image at its place in `b`.

    All sums are of integers below 2**53, so the result is the same in any order on any machine.

    Parameters
    ----------
    a, b
        Grey images, uint8 (n, height, width).

    Returns
    -------
    numpy.ndarray
        float64 (n,), from -1 to 1; 0 where an image has the same value everywhere.
    """
    x, y = (images.reshape(len(images), -1).astype(np.float64) for images in (a, b))
    size = x.shape[1]
    sums = x.sum(1), y.sum(1)
    covariance = size * np.einsum("nk,nk->n", x, y) - sums[0] * sums[1]
    variances = [size * np.einsum("nk,nk->n", z, z) - s * s for z, s in zip((x, y), sums, strict=True)]
    scale = np.sqrt(variances[0]) * np.sqrt(variances[1])
    r: NDArray[np.float64] = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return r


def standardise(images: NDArray[np.generic]) -> Array:
    """Subtract from each image its mean and divide by its norm.

    Parameters
    ----------
    images
        Numbers of any kind, (n, height, width).

    Returns
    -------
    numpy.ndarray
        float32 (n, height, width) of unit norm; zeros for an image with the same value everywhere.
    """
    values = images.astype(np.float32)
    values -= values.mean((1, 2), keepdims=True)
    return unit_vectors(values).reshape(values.shape)


def unit_vectors(values: Array) -> Array:
    """Flatten each entry of float32 (n, …) to unit norm, float32 (n, k); zeros if its norm is below 1e-3."""
    vectors = values.reshape(len(values), -1)
    norm = np.sqrt(np.einsum("nk,nk->n", vectors, vectors))[:, None]
    scaled: Array = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 1e-3)
    return scaled


def low_frequencies(thumbnails: Pixels, size: int = LOW) -> Array:
    """Lowest DCT-II coefficients of each thumbnail, standardised before.

    The inner product of two such arrays is the low-frequency part of the thumbnails' correlation. If an image
    is mirrored or turned, its coefficients change as `transform_low_frequencies` computes.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).
    size
        Number of coefficients along each axis.

    Returns
    -------
    numpy.ndarray
        float32 (n, size, size).
    """
    from scipy.fft import dctn

    low = np.empty((len(thumbnails), size, size), dtype=np.float32)
    for batch in batches(len(thumbnails)):
        low[batch] = dctn(standardise(thumbnails[batch]), axes=(1, 2), norm="ortho")[:, :size, :size]
    return low


def transform_low_frequencies(low: Array, name: str) -> Array:
    """Low frequencies of mirrored or turned thumbnails, computed from those of the thumbnails.

    Mirroring an axis changes the sign of its odd frequencies; a quarter turn also swaps the axes.

    Parameters
    ----------
    low
        As `low_frequencies` returns, float32 (n, size, size).
    name
        A key of `TRANSFORMS`.

    Returns
    -------
    numpy.ndarray
        float32 (n, size, size).
    """
    # What the transform does to the axes is measured on two ramps, so each transform is defined only once.
    ramp = np.arange(THUMBNAIL_SIZE, dtype=np.float32)
    rows = TRANSFORMS[name](np.broadcast_to(ramp[:, None], (1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)))[0]
    columns = TRANSFORMS[name](np.broadcast_to(ramp[None, :], (1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)))[0]
    swapped = rows[0, 0] == rows[-1, 0]
    if swapped:
        low, rows, columns = low.swapaxes(1, 2), columns, rows
    sign = (-1.0) ** np.arange(low.shape[1], dtype=np.float32)
    if rows[0, 0] != 0:
        low = low * sign[:, None]
    if columns[0, 0] != 0:
        low = low * sign[None, :]
    return low


def bounding_vectors(low: Array) -> Array:
    r"""Vectors whose inner product is never below the correlation of the thumbnails.

    Each standardised thumbnail x has a low-frequency part Px and a rest Qx. By the Cauchy-Schwarz inequality
    <x, y> = <Px, Py> + <Qx, Qy> <= <Px, Py> + \|Qx\| \|Qy\|. So \|Qx\| is appended as the last coordinate.

    Parameters
    ----------
    low
        As `low_frequencies` returns, float32 (n, size, size).

    Returns
    -------
    numpy.ndarray
        float32 (n, size * size + 1).
    """
    flat = low.reshape(len(low), -1)
    rest = np.sqrt(np.clip(1 - np.einsum("nk,nk->n", flat, flat), 0, None))
    return np.ascontiguousarray(np.column_stack([flat, rest]), dtype=np.float32)
