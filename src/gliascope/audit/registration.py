"""Search for crops: slices that show the inside of another slice, found by image registration.

Cropping a slice by a few percent a side ruins its plain correlation with the original. So each thumbnail is
also compared with the insides of all others at a few depths of crop. The likeliest pairs are then registered:
the scale and the shift along either axis are optimised until both pictures fit best.

A warp is four numbers: scale of rows, scale of columns, shift of rows, shift of columns. In coordinates that
run from -1 to 1 along an axis, pixel x of the warped picture shows scale * x + shift of the original.
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.audit.search import Pairs, Rows
from gliascope.audit.vectors import (
    Array,
    Pixels,
    batches,
    correlation,
    low_frequencies,
    standardise,
    unit_vectors,
)
from gliascope.runtime.progress import progress

DEPTHS = (0.025, 0.05)  # cut off at each side, as a fraction of that side
LOW = 10  # DCT coefficients along each axis by which likely pairs are looked up
NEIGHBOURS = 8  # likely pairs of each slice
PROMISING = 0.85  # correlation before registration
COARSE_STEPS, FINE_STEPS = 6, 2  # of the optimisation, at half and at full resolution
NEAR_MISS = 0.05  # below the threshold: registered once more at full resolution
_BLOCK = 256  # what fits a processor's cache
_LANE = 64
_NEVER = -2.0  # below any correlation
Warps = NDArray[np.float64]  # (pairs, 4)


def find_crops(thumbnails: Pixels, threshold: float) -> Pairs:
    """Find pairs where one slice, registered inside the other, correlates with it.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).
    threshold
        Least correlation after registration.
    """
    if len(thumbnails) < 2:
        return Pairs.concatenate([])
    low = unit_vectors(low_frequencies(thumbnails, LOW))
    found = []
    for depth in DEPTHS:
        start = np.array([1 - 2 * depth, 1 - 2 * depth, 0.0, 0.0])
        inner, outer = _promising_pairs(thumbnails, low, start, f"audit: crops of {depth:.1%} a side")
        found += [
            _register_pairs(thumbnails, (inner[b], outer[b]), start, threshold) for b in batches(len(inner))
        ]
    return Pairs.concatenate(found)


def _promising_pairs(
    thumbnails: Pixels, low: Array, start: NDArray[np.float64], task: str
) -> tuple[Rows, Rows]:
    """Pairs to register: rows of likely crops, and of slices that the warp `start` makes like them."""
    inside = np.empty_like(thumbnails)
    for batch in batches(len(thumbnails)):
        inside[batch] = _rounded(_warp(thumbnails[batch], start[None]))
    inner, outer = _nearest(low, unit_vectors(low_frequencies(inside, LOW)), task)
    scores = [correlation(thumbnails[inner[b]], inside[outer[b]]) for b in batches(len(inner))]
    promising = np.concatenate(scores) >= PROMISING
    return inner[promising], outer[promising]


def _nearest(low: Array, inside: Array, task: str) -> tuple[Rows, Rows]:
    """Rows of each slice, and of the NEIGHBOURS others whose inside is most like it; (n * NEIGHBOURS,) each.

    low, inside: unit vectors of the slices and of their insides, float32 (n, k).
    """
    n = len(low)
    k = min(NEIGHBOURS, n - 1)
    likeness = np.full((_BLOCK, -(-n // _LANE) * _LANE), _NEVER, dtype=np.float32)
    outer = np.empty((n, k), dtype=np.int64)
    with progress(task, n) as advance:
        for batch in batches(n, _BLOCK):
            rows = np.arange(len(low[batch]))
            np.matmul(low[batch], inside.T, out=likeness[: len(rows), :n])
            likeness[rows, rows + batch.start] = _NEVER
            outer[batch] = _largest(likeness[: len(rows)], k)
            advance(len(rows))
    return np.repeat(np.arange(n), k), outer.ravel()


def _largest(values: Array, k: int) -> NDArray[np.int64]:
    """Columns of the k largest values of each row, (rows, k).

    Columns are divided into lanes of 64. The k largest values lie in the k lanes with the largest maxima, and
    finding those takes one fast pass.
    """
    rows, lanes = np.arange(len(values))[:, None], values.reshape(len(values), -1, _LANE)
    n = min(k, lanes.shape[1])
    likely = np.argpartition(-lanes.max(2), n - 1, axis=1)[:, :n]
    among = lanes[rows, likely].reshape(len(values), -1)
    best = np.argpartition(-among, k - 1, axis=1)[:, :k]
    return likely[rows, best // _LANE] * _LANE + best % _LANE


def _register_pairs(
    thumbnails: Pixels, pairs: tuple[Rows, Rows], start: NDArray[np.float64], threshold: float
) -> Pairs:
    """The pairs that correlate once their outer slice is warped. pairs: inner and outer rows, (m,) each."""
    inner, outer = pairs
    fixed, moving = thumbnails[inner], thumbnails[outer]
    # First at half the resolution, for a quarter of the cost; pairs that come near, then once more in full.
    warps = register(_halved(fixed), _halved(moving), np.tile(start, (len(inner), 1)), COARSE_STEPS)
    near = correlation(fixed, _rounded(_warp(moving, warps))) >= threshold - NEAR_MISS
    if not near.any():
        return Pairs.concatenate([])
    inner, outer, fixed, moving, warps = inner[near], outer[near], fixed[near], moving[near], warps[near]
    warps = register(fixed, moving, warps, FINE_STEPS)
    scores = correlation(fixed, _rounded(_warp(moving, warps)))
    good = (scores >= threshold) & _is_small_crop(warps)
    first, second = np.minimum(inner, outer)[good], np.maximum(inner, outer)[good]
    return Pairs(first, second, scores[good])


def _is_small_crop(warps: Warps) -> NDArray[np.bool_]:
    """Whether each warp is a crop of at most 10 % a side, which shows nothing outside of the picture."""
    scale, shift = warps[:, :2], np.abs(warps[:, 2:])
    inside: NDArray[np.bool_] = (scale >= 0.8) & (scale + shift <= 1.02)
    return inside[:, 0] & inside[:, 1]


def register(fixed: NDArray[np.generic], moving: NDArray[np.generic], warps: Warps, steps: int) -> Warps:
    """Optimise warps of moving images by Gauss-Newton steps on their correlation with fixed images.

    Parameters
    ----------
    fixed, moving
        Grey images, numbers of any kind, (n, size, size).
    warps
        Where to start, float64 (n, 4).
    steps
        Number of Gauss-Newton steps; each changes a number of a warp by at most 0.03.

    Returns
    -------
    numpy.ndarray
        Better warps, float64 (n, 4).

    References
    ----------
    Evangelidis & Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization",
    IEEE TPAMI 30:1858, 2008; here for a scale and a shift of each axis.
    """
    n, size = fixed.shape[:2]
    grid, target = _pixel_centres(size), standardise(fixed).reshape(n, size * size, 1)
    for _ in range(steps):
        now = _warp(moving, warps)
        # By the chain rule the gradient of `now` is `scale` times that of `moving`, which is the one needed.
        along_rows, along_columns = np.gradient(now, 2 / size, axis=(1, 2))
        along_rows /= warps[:, 0, None, None].astype(np.float32)
        along_columns /= warps[:, 1, None, None].astype(np.float32)
        jacobian = np.stack([along_rows * grid[:, None], along_columns * grid, along_rows, along_columns], 1)
        jacobian = jacobian.reshape(n, 4, size * size)
        jacobian -= jacobian.mean(2, keepdims=True)
        centred = now.reshape(n, size * size, 1) - now.mean((1, 2))[:, None, None]
        warps = warps + np.clip(_gauss_newton_step(jacobian, centred, target), -0.03, 0.03)
    return warps


def _gauss_newton_step(jacobian: Array, now: Array, target: Array) -> Warps:
    """Change of each warp, (n, 4): equations 19 and 20 of Evangelidis & Psarakis, the gain in closed form.

    jacobian: float32 (n, 4, pixels); now, target: float32 (n, pixels, 1), without their means.
    """
    hessian = jacobian @ jacobian.swapaxes(1, 2) + 1e-3 * np.eye(4, dtype=np.float32)
    to_now, to_target = jacobian @ now, jacobian @ target
    above = (now**2).sum(1) - (to_now * np.linalg.solve(hessian, to_now)).sum(1)
    below = (target * now).sum(1) - (to_target * np.linalg.solve(hessian, to_now)).sum(1)
    gain = np.where(below > 1e-6, above / np.maximum(below, 1e-6), 0)[:, :, None]
    step: Warps = np.linalg.solve(hessian, gain * to_target - to_now)[:, :, 0].astype(np.float64)
    return step


def _pixel_centres(size: int) -> Array:
    """Pixel centres along an axis that runs from -1 to 1, float32 (size,)."""
    return ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)


def _halved(images: Pixels) -> Array:
    """Sums of 2 x 2 pixels: float32 (n, size / 2, size / 2)."""
    rows = images[:, ::2].astype(np.float32) + images[:, 1::2]
    sums: Array = rows[:, :, ::2] + rows[:, :, 1::2]
    return sums


def _warp(images: NDArray[np.generic], warps: Warps) -> Array:
    """Warp images (n, size, size) with bilinear interpolation; warps (n, 4), or (1, 4) for all images."""
    size = images.shape[1]
    rows, columns = (_interpolation(warps[:, axis], warps[:, axis + 2], size) for axis in (0, 1))
    warped: Array = rows @ images.astype(np.float32) @ columns.swapaxes(1, 2)
    return warped


def _interpolation(scale: NDArray[np.float64], shift: NDArray[np.float64], size: int) -> Array:
    """Matrices (n, size, size) that interpolate linearly along one axis, for scales and shifts (n,)."""
    wanted = scale[:, None] * _pixel_centres(size) + shift[:, None]
    position = np.clip((wanted + 1) / 2 * size - 0.5, 0, size - 1).astype(np.float32)
    distance = np.abs(position[:, :, None] - np.arange(size, dtype=np.float32))
    weights: Array = np.maximum(1 - distance, 0, out=distance)
    return weights


def _rounded(images: Array) -> Pixels:
    return np.rint(images).astype(np.uint8)
