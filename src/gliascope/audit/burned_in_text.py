"""What people and machines wrote on a slice: burned-in text beside the head, and colour."""

import numpy as np
from numpy.typing import NDArray

from gliascope.preprocessing.preprocess import to_grey

BRIGHT = 30  # grey value from which a pixel is no background
LETTER_EDGE, LETTER_PEAK = 90, 130  # grey value of a letter's pixels, and of its brightest one, at least
AROUND_LETTER = 60  # grey value of at least three quarters of the pixels around a letter, at most
CHROMA = 30  # difference between the channels of a coloured pixel; JPEG makes up to 20 of grey
LETTERS = 2  # a single speck may be anything

Masks = NDArray[np.bool_]


def outside_head_mask(pictures: NDArray[np.uint8]) -> Masks:
    """Mark bright pixels that are apart from the head.

    The head is the largest bright region after gaps of up to about 5 % of the side are closed, with all that
    lies between two of its pixels in a row or a column.

    Parameters
    ----------
    pictures
        Grey, uint8 (n, height, width).

    Returns
    -------
    numpy.ndarray
        Boolean (n, height, width).
    """
    from scipy.ndimage import label, maximum_filter, minimum_filter

    reach = 2 * (min(pictures.shape[1:]) // 32) + 1
    pad = ((0, 0), (reach, reach), (reach, reach))
    bright = np.pad((pictures >= BRIGHT).astype(np.uint8), pad)
    window = (1, reach, reach)
    closed = minimum_filter(maximum_filter(bright, window), window)
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    regions, count = label(closed, structure=in_plane)
    size = np.bincount(regions.ravel(), minlength=count + 1)
    size[0] = 0
    flat = regions.reshape(len(regions), -1)
    largest = np.take_along_axis(flat, size[flat].argmax(axis=1)[:, None], axis=1)[:, :, None]
    head = (regions == largest) & (largest > 0)
    head = _filled_between(head, 1) | _filled_between(head, 2)
    near = maximum_filter(head.astype(np.uint8), window).astype(bool)
    inner = slice(reach, -reach)
    outside: NDArray[np.bool_] = (bright > 0)[:, inner, inner] & ~near[:, inner, inner]
    return outside


def count_letters(grey: NDArray[np.uint8]) -> int:
    """Count the regions beside the head that are as small, bright and sharp as letters.

    Parameters
    ----------
    grey
        One slice, uint8 (height, width).
    """
    from scipy.ndimage import binary_dilation, find_objects, label

    side = min(grey.shape)
    regions, _ = label(outside_head_mask(grey[None])[0] & (grey >= LETTER_EDGE), np.ones((3, 3)))
    letters = 0
    for number, (rows, columns) in enumerate(find_objects(regions), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not (3 <= height <= 0.08 * side and width <= 0.15 * side):
            continue
        around = (
            slice(max(0, rows.start - 2), rows.stop + 2),
            slice(max(0, columns.start - 2), columns.stop + 2),
        )
        own = regions[around] == number
        ring = grey[around][~binary_dilation(own)]
        dark_around = len(ring) > 0 and np.percentile(ring, 75) <= AROUND_LETTER
        letters += bool(own.sum() >= 5 and grey[around][own].max() >= LETTER_PEAK and dark_around)
    return letters


def coloured_share(pixels: NDArray[np.uint8]) -> float:
    """Share of clearly coloured pixels of a slice, uint8 (height, width) or (height, width, 3)."""
    if pixels.ndim == 2:
        return 0.0
    return float((np.ptp(pixels, axis=2) > CHROMA).mean())


def text_and_colour(pixels: NDArray[np.uint8]) -> tuple[int, float]:
    """Number of letters beside the head and share of coloured pixels.

    Parameters
    ----------
    pixels
        One slice, uint8 (height, width) or (height, width, 3).
    """
    return count_letters(to_grey(pixels)), coloured_share(pixels)


def _filled_between(mask: Masks, axis: int) -> Masks:
    """Mark what has marked pixels on both sides along an axis, and these pixels themselves."""
    before = np.maximum.accumulate(mask, axis=axis)
    after = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
    between: Masks = before & after
    return between
