"""Numbers that describe what surrounds the head in a thumbnail, and nothing of the head itself."""

import numpy as np
from numpy.typing import NDArray

from gliascope.dataset.scan import THUMBNAIL_SIZE

DARK = 25  # grey values below this are background if they reach the edge of the picture
_BLOCK = 4096  # thumbnails at a time, 64 MiB of floats
Floats = NDArray[np.float32]


def border_features(thumbnails: NDArray[np.uint8]) -> dict[str, Floats]:
    """Describe border and background of thumbnails.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).

    Returns
    -------
    dict
        float32 tables of n rows. "edge pixels", (n, 64): the outermost ring, averaged in fours.
        "dark margin", (n, 4): rows from the top and the bottom, and columns from the left and the right, to
        the first that is not dark. "background", (n, 5): mean, standard deviation and maximum of the
        background pixels, their share of value 0, and their share of values 0 to 2; -1 without background.
    """
    blocks = [_features(thumbnails[start : start + _BLOCK]) for start in range(0, len(thumbnails), _BLOCK)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def background_mask(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the dark pixels that are connected with the edge of the picture through dark pixels.

    Parameters
    ----------
    thumbnails
        uint8 (n, 64, 64).

    Returns
    -------
    numpy.ndarray
        Boolean (n, 64, 64).
    """
    from scipy.ndimage import label

    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    # A dark frame of one pixel connects all dark regions that touch the edge; it is removed afterwards.
    framed = np.pad(thumbnails < DARK, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    regions, _ = label(framed, structure=in_plane)
    outside: NDArray[np.bool_] = regions == regions[:, :1, :1]
    return outside[:, 1:-1, 1:-1]


def _features(thumbnails: NDArray[np.uint8]) -> dict[str, Floats]:
    edge = [thumbnails[:, 0], thumbnails[:, -1], thumbnails[:, :, 0], thumbnails[:, :, -1]]
    bright = thumbnails >= DARK
    rows, columns = bright.sum(axis=2) > 2, bright.sum(axis=1) > 2  # two bright pixels may be noise
    margins = [_leading_false(line) for line in (rows, rows[:, ::-1], columns, columns[:, ::-1])]
    return {
        "edge pixels": np.concatenate(edge, axis=1)
        .reshape(len(bright), -1, 4)
        .mean(axis=2, dtype=np.float32),
        "dark margin": np.stack(margins, axis=1).astype(np.float32),
        "background": _statistics(thumbnails.astype(np.float32), background_mask(thumbnails)),
    }


def _leading_false(line: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of False before the first True in each row of (n, 64)."""
    return np.where(line.any(axis=1), line.argmax(axis=1), THUMBNAIL_SIZE)


def _statistics(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Statistics, (n, 5), of the pixels of (n, 64, 64) that a mask marks; -1 where it marks none."""
    count = mask.sum(axis=(1, 2))
    average, square, black, nearly_black = (
        np.where(mask, of, 0).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count, 1)
        for of in (values, values**2, values == 0, values <= 2)
    )
    deviation = np.sqrt(np.maximum(square - average**2, 0))
    highest = np.where(mask, values, 0).max(axis=(1, 2))
    table = np.stack([average, deviation, highest, black, nearly_black], axis=1)
    table[count == 0] = -1
    return table.astype(np.float32)
