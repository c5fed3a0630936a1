"""Where the head is in a slice, told by brightness alone, with NumPy and Pillow alone: prediction needs it.

Both functions look at the slice shrunk to a grid: averaged over a cell, JPEG noise is gone, and the time
hardly depends on the size of the slice. Background is what is darker than a fifth of the slice's typical
brightness.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]  # top, bottom, left, right, in pixels; bottom and right are the first outside

GRID_SIZE = 128  # a cell is below 1 % of the side
# Chosen by eye on the public sets: at 0.3 the scalp begins to go where fat is suppressed, at 0.15 the noise
# of the air begins to count.
BACKGROUND_SHARE = 0.2
# A part this large, compared with the largest, belongs to the head: the brain within a scalp that the black
# skull parts from it. Text, rulers and the head rest are smaller.
MIN_HEAD_SHARE = 0.2
# A line with so many bright cells is a frame's. Frames are sought no deeper than 7 % of the side.
FRAME_SHARE, FRAME_BRIGHT, FRAME_DEPTH = 0.9, 127, 8

_POWERS = np.arange(float(GRID_SIZE)) ** np.arange(3)[:, None]  # 1, x, x² of every cell, for moments


def head_box(grey: NDArray[np.uint8]) -> Box:
    """Bounding box of the head in a grey slice, uint8 (height, width), to within a cell of the grid.

    The largest connected part that is brighter than the background, and what is nearly as large. Bright
    frames around the picture and text beside the head do not count. The whole slice where the background is
    not dark, or where there is nothing but background.
    """
    height, width = grey.shape
    grid = _without_frame(_grid(grey))
    row, start, end, part = _runs(grid > _dark(grid))
    if not len(row):
        return 0, height, 0, width
    area = np.bincount(part, weights=end - start)
    head = (area >= MIN_HEAD_SHARE * area.max())[part]
    top, bottom = int(row[head].min()), int(row[head].max()) + 1
    left, right = int(start[head].min()), int(end[head].max())
    # Rounded outwards, so that nothing of the head is cut.
    return (
        top * height // GRID_SIZE,
        -(-bottom * height // GRID_SIZE),
        left * width // GRID_SIZE,
        -(-right * width // GRID_SIZE),
    )


def moments_box(small: NDArray[np.uint8], height: int, width: int) -> tuple[float, float, float, float]:
    """Two standard deviations of the brightness to each side of its centre: top, bottom, left, right, pixels.

    small: the slice, of `height` and `width`, shrunk to (n, n), n up to GRID; its moments are nearly the
    slice's own.

    About the head's box (an even ellipse is touched on all four sides), but held by all of the picture
    instead of its outermost pixels: cutting or adding black border, another resolution or compression hardly
    move it. May reach beyond the slice. The whole slice where that is black.
    """
    powers = _POWERS[:, : len(small)]
    # Sums of brightness · rowⁱ · columnʲ, exact: integers far below 2⁵³.
    moments = powers @ np.maximum(small.astype(np.float64) - _dark(small), 0) @ powers.T
    if not moments[0, 0]:
        return 0.0, float(height), 0.0, float(width)
    edges: list[float] = []
    for (total, first, second), length in ((moments[:, 0], height), (moments[0], width)):
        centre = float(first / total)
        variance = max(float(second / total) - centre * centre, 0.25)  # one cell alone has an extent, too
        spread = 2 * math.sqrt(variance)
        edges += [(centre + 0.5 + sign * spread) * length / len(small) for sign in (-1, 1)]
    return edges[0], edges[1], edges[2], edges[3]


def _grid(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(grey).resize((GRID_SIZE, GRID_SIZE), Image.Resampling.BILINEAR))


def _dark(grid: NDArray[np.uint8]) -> int:
    """The brightest grey level that is background.

    Typical brightness is the mean of the values, each weighted by itself: black border adds nothing to it,
    and it grows with the slice's own brightness.
    """
    values = grid.ravel().astype(np.int64)  # exact; and no BLAS, whose threads wait for one another
    total = int(values.sum())
    return round(BACKGROUND_SHARE * int(values @ values) / total) if total else 0


def _without_frame(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blacken bright lines along the edges, and the line within, onto which they are smeared."""
    bright = grid > FRAME_BRIGHT
    rows, columns = bright.mean(axis=1) > FRAME_SHARE, bright.mean(axis=0) > FRAME_SHARE
    top, bottom, left, right = (_depth(lines) for lines in (rows, rows[::-1], columns, columns[::-1]))
    if top or bottom or left or right:
        inner = np.zeros_like(grid)
        kept = slice(top, GRID_SIZE - bottom), slice(left, GRID_SIZE - right)
        inner[kept] = grid[kept]
        return inner
    return grid


def _depth(lines: NDArray[np.bool_]) -> int:
    """How many lines to take off. Where brightness goes deeper than any frame, it is the picture's."""
    depth = int(np.argmin(np.append(lines[: FRAME_DEPTH + 1], False)))
    return depth + 1 if 0 < depth <= FRAME_DEPTH else 0


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Row, start, end (first outside) and connected part of every horizontal run of True; four neighbours.

    Parts are numbered by their first run. Union of overlapping runs in neighbouring rows, by hooking roots
    and halving paths on whole arrays, because the base install has no scipy.
    """
    height, width = mask.shape
    stride = width + 1  # a gap after each row, so that no run goes on in the next
    flat = np.zeros((height, stride), dtype=np.int8)
    flat[:, :width] = mask
    steps = np.diff(flat.ravel(), prepend=np.int8(0))
    start, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    first = np.searchsorted(end, start - stride, side="right")  # overlapping runs of the row above
    count = (np.searchsorted(start, end - stride) - first).clip(min=0)
    below = np.repeat(np.arange(len(start)), count)
    above = np.arange(len(below)) + np.repeat(first - np.cumsum(count) + count, count)
    part = np.arange(len(start))
    while (part[above] != part[below]).any():
        a, b = part[above], part[below]
        np.minimum.at(part, np.maximum(a, b), np.minimum(a, b))
        while (part != part[part]).any():
            part = part[part]
    row = start // stride
    return row, start - row * stride, end - row * stride, part
