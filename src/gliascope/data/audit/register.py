"""The second look: slices that are the inside of another, found by registration.

A crop of a few percent a side ruins plain correlation. So every thumbnail is also compared with the insides
of all others at a few crop depths; the likeliest pairs are then registered (shift and scale of each axis).
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.data.audit.search import Pairs
from gliascope.data.audit.vectors import (
    Array,
    Pixels,
    batches,
    correlation,
    directions,
    low_frequencies,
    unit,
)
from gliascope.progress import progress

DEPTHS = (0.025, 0.05)  # cut off at each side, as a fraction of it
LOW = 10  # low frequencies a side that a likely pair is looked for by
NEIGHBOURS = 8
PROMISING = 0.85  # correlation before registration
_BLOCK = 256  # what fits a processor's cache
_LANE = 64
_NEVER = -2.0  # below any correlation
Warps = NDArray[np.float64]  # (pairs, 4): scale of rows, of columns, shift of rows, of columns


def cropped_pairs(thumbnails: Pixels, threshold: float) -> Pairs:
    """Pairs where one slice, uint8 (n, 64, 64), registered inside the other correlates >= threshold."""
    if len(thumbnails) < 2:
        return Pairs.join([])
    low = directions(low_frequencies(thumbnails, LOW))
    found = []
    for depth in DEPTHS:
        start = np.array([1 - 2 * depth, 1 - 2 * depth, 0.0, 0.0])
        inner, outer = _promising(thumbnails, low, start, f"audit: crops of {depth:.1%} a side")
        found += [_registered(thumbnails, inner[b], outer[b], start, threshold) for b in batches(len(inner))]
    return Pairs.join(found)


def _promising(
    thumbnails: Pixels, low: Array, start: NDArray[np.float64], task: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs to register: rows of slices, and of others that the warp `start` makes much like them."""
    inside = np.empty_like(thumbnails)
    for batch in batches(len(thumbnails)):
        inside[batch] = _rounded(_warp(thumbnails[batch], start[None]))
    inner, outer = _nearest(low, directions(low_frequencies(inside, LOW)), task)
    scores = [correlation(thumbnails[inner[b]], inside[outer[b]]) for b in batches(len(inner))]
    promising = np.concatenate(scores) >= PROMISING
    return inner[promising], outer[promising]


def _nearest(low: Array, inside: Array, task: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each slice the NEIGHBOURS others whose inside is most like it: rows of both."""
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

    They lie in the k lanes with the largest maxima: finding those takes one fast pass over the values.
    """
    rows, lanes = np.arange(len(values))[:, None], values.reshape(len(values), -1, _LANE)
    n = min(k, lanes.shape[1])
    likely = np.argpartition(-lanes.max(2), n - 1, axis=1)[:, :n]
    among = lanes[rows, likely].reshape(len(values), -1)
    best = np.argpartition(-among, k - 1, axis=1)[:, :k]
    return likely[rows, best // _LANE] * _LANE + best % _LANE


def _registered(
    thumbnails: Pixels,
    inner: NDArray[np.int64],
    outer: NDArray[np.int64],
    start: NDArray[np.float64],
    threshold: float,
) -> Pairs:
    still, moving = thumbnails[inner], thumbnails[outer]
    # First at half the resolution, a quarter of the cost; then the near hits once more in full.
    warps = register(_halved(still), _halved(moving), np.tile(start, (len(inner), 1)), iterations=6)
    near = correlation(still, _rounded(_warp(moving, warps))) >= threshold - 0.05
    if not near.any():
        return Pairs.join([])
    inner, outer, still, moving, warps = inner[near], outer[near], still[near], moving[near], warps[near]
    warps = register(still, moving, warps, iterations=2)
    scores = correlation(still, _rounded(_warp(moving, warps)))
    good = (scores >= threshold) & _small(warps)
    first, second = np.minimum(inner, outer)[good], np.maximum(inner, outer)[good]
    return Pairs(first, second, scores[good])


def _small(warps: Warps) -> NDArray[np.bool_]:
    """Whether a warp is a crop of at most 10 % a side: it shows nothing outside, and most of the inside."""
    scale, shift = warps[:, :2], np.abs(warps[:, 2:])
    inside: NDArray[np.bool_] = (scale >= 0.8) & (scale + shift <= 1.02)
    return inside[:, 0] & inside[:, 1]


def register(still: NDArray[np.generic], moving: NDArray[np.generic], warps: Warps, iterations: int) -> Warps:
    """Gauss-Newton on the correlation coefficient of still and warped moving images, (n, size, size) each.

    Evangelidis & Psarakis 2008 (enhanced correlation coefficient), for a scale and a shift of each axis.
    """
    n, size = still.shape[:2]
    grid, target = _centres(size), unit(still).reshape(n, size * size, 1)
    for _ in range(iterations):
        now = _warp(moving, warps)
        # `now` lies in warped coordinates: x -> scale * x + shift.
        along_rows, along_columns = np.gradient(now, 2 / size, axis=(1, 2))
        along_rows /= warps[:, 0, None, None].astype(np.float32)
        along_columns /= warps[:, 1, None, None].astype(np.float32)
        jacobian = np.stack([along_rows * grid[:, None], along_columns * grid, along_rows, along_columns], 1)
        jacobian = jacobian.reshape(n, 4, size * size)
        jacobian -= jacobian.mean(2, keepdims=True)
        centred = now.reshape(n, size * size, 1) - now.mean((1, 2))[:, None, None]
        warps = warps + np.clip(_step(jacobian, centred, target), -0.03, 0.03)
    return warps


def _step(jacobian: Array, now: Array, target: Array) -> Warps:
    """One step, (n, 4): equations 19 and 20 of Evangelidis & Psarakis, the gain in closed form."""
    hessian = jacobian @ jacobian.swapaxes(1, 2) + 1e-3 * np.eye(4, dtype=np.float32)
    to_now, to_target = jacobian @ now, jacobian @ target
    above = (now**2).sum(1) - (to_now * np.linalg.solve(hessian, to_now)).sum(1)
    below = (target * now).sum(1) - (to_target * np.linalg.solve(hessian, to_now)).sum(1)
    gain = np.where(below > 1e-6, above / np.maximum(below, 1e-6), 0)[:, :, None]
    step: Warps = np.linalg.solve(hessian, gain * to_target - to_now)[:, :, 0].astype(np.float64)
    return step


def _centres(size: int) -> Array:
    """Pixel centres along an axis that runs from -1 to 1."""
    return ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)


def _halved(images: Pixels) -> Array:
    rows = images[:, ::2].astype(np.float32) + images[:, 1::2]
    sums: Array = rows[:, :, ::2] + rows[:, :, 1::2]
    return sums


def _warp(images: NDArray[np.generic], warps: Warps) -> Array:
    """What each warp shows of each image (n, size, size), bilinear; one warp serves all images, too."""
    size = images.shape[1]
    rows, columns = (_interpolation(warps[:, axis], warps[:, axis + 2], size) for axis in (0, 1))
    warped: Array = rows @ images.astype(np.float32) @ columns.swapaxes(1, 2)
    return warped


def _interpolation(scale: NDArray[np.float64], shift: NDArray[np.float64], size: int) -> Array:
    """Bilinear interpolation along one axis as matrices (n, size, size)."""
    wanted = scale[:, None] * _centres(size) + shift[:, None]
    position = np.clip((wanted + 1) / 2 * size - 0.5, 0, size - 1).astype(np.float32)
    distance = np.abs(position[:, :, None] - np.arange(size, dtype=np.float32))
    weights: Array = np.maximum(1 - distance, 0, out=distance)
    return weights


def _rounded(images: Array) -> Pixels:
    return np.rint(images).astype(np.uint8)
