"""Find the head in a slice by brightness, with NumPy and Pillow alone, because prediction needs it.

The slice is shrunk to a grid first, which averages noise away and makes the time nearly independent of the
slice's size. Background is whatever is darker than a fifth of the slice's typical brightness.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]
"""Top, bottom, left and right in pixels; bottom and right are the first outside of the box."""

GRID_SIZE = 128
"""Cells along each side of the grid: a cell is below 1 % of the slice's side."""

# Chosen by eye on the public sets: at 0.3 the scalp begins to go where fat is suppressed, at 0.15 the noise
# of the air begins to count.
BACKGROUND_SHARE = 0.2
# A bright region belongs to the head if it has this share of the largest region's area: the black skull
# separates the brain from the scalp. Text, rulers and the head rest are smaller.
MIN_HEAD_SHARE = 0.2
# A line belongs to a frame if this share of its cells is brighter than 127. Frames are sought up to a depth
# of 8 cells, 7 % of the side.
FRAME_SHARE, FRAME_BRIGHT, FRAME_DEPTH = 0.9, 127, 8

_POWERS = np.arange(float(GRID_SIZE)) ** np.arange(3)[:, None]  # 1, x, x² of every cell, for moments


def head_box(grey: NDArray[np.uint8]) -> Box:
    """Find the bounding box of the head in a grey slice, to within a cell of the grid.

    The head is the largest connected region that is brighter than the background, together with other regions
    of at least a fifth of its area. Bright frames along the edges and text beside the head do not count.

    Parameters
    ----------
    grey
        uint8, (height, width).

    Returns
    -------
    Box
        The whole slice where the background is not dark, or where nothing is brighter than it.

    Examples
    --------
    >>> slice_ = np.zeros((128, 128), np.uint8)
    >>> slice_[20:100, 30:90] = 200
    >>> head_box(slice_)
    (20, 100, 30, 90)
    """
    height, width = grey.shape
    grid = _without_frame(_grid(grey))
    row, start, end, region = _runs(grid > _background_level(grid))
    if not len(row):
        return 0, height, 0, width
    area = np.bincount(region, weights=end - start)
    is_head = (area >= MIN_HEAD_SHARE * area.max())[region]
    top, bottom = int(row[is_head].min()), int(row[is_head].max()) + 1
    left, right = int(start[is_head].min()), int(end[is_head].max())
    # Rounded outwards, so that nothing of the head is cut.
    return (
        top * height // GRID_SIZE,
        -(-bottom * height // GRID_SIZE),
        left * width // GRID_SIZE,
        -(-right * width // GRID_SIZE),
    )


def moments_box(small: NDArray[np.uint8], height: int, width: int) -> tuple[float, float, float, float]:
    """Compute a box about the head from the moments of the slice's brightness.

    The box reaches two standard deviations of the brightness to each side of its centre, as the bounding box
    of an evenly bright ellipse does. All pixels decide on it, not the outermost ones alone, so the box hardly
    moves when black border is cut or added, or with another resolution or compression.

    Parameters
    ----------
    small
        The slice shrunk to uint8 (n, n), n up to GRID_SIZE, whose moments are nearly the slice's own.
    height, width
        Of the slice itself, in pixels.

    Returns
    -------
    tuple of float
        Top, bottom, left and right in pixels of the slice; may reach beyond it. The whole slice where it is
        black.
    """
    powers = _POWERS[:, : len(small)]
    # Sums of brightness · rowⁱ · columnʲ, exact: integers far below 2⁵³.
    moments = powers @ np.maximum(small.astype(np.float64) - _background_level(small), 0) @ powers.T
    if not moments[0, 0]:
        return 0.0, float(height), 0.0, float(width)
    edges: list[float] = []
    for (total, first, second), length in ((moments[:, 0], height), (moments[0], width)):
        centre = float(first / total)
        variance = max(float(second / total) - centre * centre, 0.25)  # one cell alone has an extent, too
        reach = 2 * math.sqrt(variance)
        edges += [(centre + 0.5 + sign * reach) * length / len(small) for sign in (-1, 1)]
    return edges[0], edges[1], edges[2], edges[3]


def _grid(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(grey).resize((GRID_SIZE, GRID_SIZE), Image.Resampling.BILINEAR))


def _background_level(grid: NDArray[np.uint8]) -> int:
    """Return the brightest grey level that still is background.

    Typical brightness is the mean of all values, each weighted by itself. So black border adds nothing to it.
    """
    values = grid.ravel().astype(np.int64)  # exact; and no BLAS, whose threads wait for one another
    total = int(values.sum())
    return round(BACKGROUND_SHARE * int(values @ values) / total) if total else 0


def _without_frame(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blacken bright lines along the edges, and the next line, onto which shrinking has smeared them."""
    bright = grid > FRAME_BRIGHT
    rows, columns = bright.mean(axis=1) > FRAME_SHARE, bright.mean(axis=0) > FRAME_SHARE
    top, bottom, left, right = (_depth(lines) for lines in (rows, rows[::-1], columns, columns[::-1]))
    if top or bottom or left or right:
        inner = np.zeros_like(grid)
        inside = slice(top, GRID_SIZE - bottom), slice(left, GRID_SIZE - right)
        inner[inside] = grid[inside]
        return inner
    return grid


def _depth(lines: NDArray[np.bool_]) -> int:
    """Return how many lines belong to a frame; none where brightness goes deeper, as it is the head's."""
    depth = int(np.argmin(np.append(lines[: FRAME_DEPTH + 1], False)))
    return depth + 1 if 0 < depth <= FRAME_DEPTH else 0


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Find the horizontal runs of True, and which connected region (of four neighbours) each belongs to.

    Overlapping runs in neighbouring rows are united on whole arrays, by hooking roots and halving paths,
    because the base install has no scipy.

    Returns
    -------
    row, start, end, region : ndarray
        One entry a run. `end` is the first column outside of it; a region has the number of its first run.
    """
    height, width = mask.shape
    stride = width + 1  # a gap after each row, so that no run continues in the next row
    flat = np.zeros((height, stride), dtype=np.int8)
    flat[:, :width] = mask
    steps = np.diff(flat.ravel(), prepend=np.int8(0))
    start, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    first = np.searchsorted(end, start - stride, side="right")  # overlapping runs of the row above
    count = (np.searchsorted(start, end - stride) - first).clip(min=0)
    below = np.repeat(np.arange(len(start)), count)
    above = np.arange(len(below)) + np.repeat(first - np.cumsum(count) + count, count)
    region = np.arange(len(start))
    while (region[above] != region[below]).any():
        a, b = region[above], region[below]
        np.minimum.at(region, np.maximum(a, b), np.minimum(a, b))
        while (region != region[region]).any():
            region = region[region]
    row = start // stride
    return row, start - row * stride, end - row * stride, region
