"""What people and machines wrote on a slice: text beside the head, and colour."""

import numpy as np
from numpy.typing import NDArray

from gliascope.data.preprocess import to_grey

BRIGHT, WRITTEN = 30, 130  # grey values: not background; a letter's brightest pixel at least
CHROMA = 30  # difference between the channels of a pixel; JPEG makes up to 20 of grey
MARKS = 2  # a single speck may be anything

Masks = NDArray[np.bool_]


def beside_head(pictures: NDArray[np.uint8]) -> Masks:
    """Bright pixels that are apart from the head, of grey pictures (n, height, width).

    The head is the largest bright part, gaps of up to about 5 % of the side closed, with all that lies
    between its parts in a row or column.
    """
    from scipy.ndimage import label, maximum_filter, minimum_filter

    reach = 2 * (min(pictures.shape[1:]) // 32) + 1
    pad = ((0, 0), (reach, reach), (reach, reach))
    bright = np.pad((pictures >= BRIGHT).astype(np.uint8), pad)
    window = (1, reach, reach)
    closed = minimum_filter(maximum_filter(bright, window), window)
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    parts, count = label(closed, structure=in_plane)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    size[0] = 0
    flat = parts.reshape(len(parts), -1)
    largest = np.take_along_axis(flat, size[flat].argmax(axis=1)[:, None], axis=1)[:, :, None]
    head = (parts == largest) & (largest > 0)
    head = _between(head, 1) | _between(head, 2)
    near = maximum_filter(head.astype(np.uint8), window).astype(bool)
    inner = slice(reach, -reach)
    beside: NDArray[np.bool_] = (bright > 0)[:, inner, inner] & ~near[:, inner, inner]
    return beside


def written(grey: NDArray[np.uint8]) -> int:
    """Number of marks beside the head that are as small, bright and sharp as letters; (height, width)."""
    from scipy.ndimage import binary_dilation, find_objects, label

    side = min(grey.shape)
    parts, _ = label(beside_head(grey[None])[0] & (grey >= 90), np.ones((3, 3)))
    marks = 0
    for number, (rows, columns) in enumerate(find_objects(parts), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not (3 <= height <= 0.08 * side and width <= 0.15 * side):
            continue
        around = (
            slice(max(0, rows.start - 2), rows.stop + 2),
            slice(max(0, columns.start - 2), columns.stop + 2),
        )
        own = parts[around] == number
        ring = grey[around][~binary_dilation(own)]
        dark_around = len(ring) > 0 and np.percentile(ring, 75) <= 60
        marks += bool(own.sum() >= 5 and grey[around][own].max() >= WRITTEN and dark_around)
    return marks


def coloured(pixels: NDArray[np.uint8]) -> float:
    """Share of the pixels of a slice, (height, width[, 3]), that are clearly not grey."""
    if pixels.ndim == 2:
        return 0.0
    return float((np.ptp(pixels, axis=2) > CHROMA).mean())


def marks(pixels: NDArray[np.uint8]) -> tuple[int, float]:
    """Both of a slice: how many letters beside the head, and the share of coloured pixels."""
    return written(to_grey(pixels)), coloured(pixels)


def _between(mask: Masks, axis: int) -> Masks:
    """What has True on both sides along an axis."""
    before = np.maximum.accumulate(mask, axis=axis)
    after = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
    between: Masks = before & after
    return between
