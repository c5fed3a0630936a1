"""What surrounds the head in a thumbnail, and nothing of the head itself."""

import numpy as np
from numpy.typing import NDArray

from gliascope.data.scan import THUMBNAIL

DARK = 25  # grey values below this are background where they reach the edge
_BLOCK = 4096  # thumbnails at a time, 64 MiB of floats
Floats = NDArray[np.float32]


def border(thumbnails: NDArray[np.uint8]) -> dict[str, Floats]:
    """Border and background of thumbnails, uint8 (n, 64, 64), as tables of n rows by name.

    "edge pixels": the outermost ring, averaged in fours. "dark margin": rows or columns from each side to
    the first that is not dark. "background": mean, deviation, maximum, share of 0 and share of 0 to 2 among
    the dark pixels that are connected with the edge; -1 where there are none.
    """
    blocks = [_block(thumbnails[start : start + _BLOCK]) for start in range(0, len(thumbnails), _BLOCK)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def background(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels of (n, 64, 64) thumbnails that are dark and connected with the edge through dark ones."""
    from scipy.ndimage import label

    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    # One pixel of dark frame joins all that touches the edge, and is cut off again.
    framed = np.pad(thumbnails < DARK, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    parts, _ = label(framed, structure=in_plane)
    outside: NDArray[np.bool_] = parts == parts[:, :1, :1]
    return outside[:, 1:-1, 1:-1]


def _block(thumbnails: NDArray[np.uint8]) -> dict[str, Floats]:
    edge = [thumbnails[:, 0], thumbnails[:, -1], thumbnails[:, :, 0], thumbnails[:, :, -1]]
    bright = thumbnails >= DARK
    rows, columns = bright.sum(axis=2) > 2, bright.sum(axis=1) > 2  # two bright pixels may be noise
    margins = [_first(line) for line in (rows, rows[:, ::-1], columns, columns[:, ::-1])]
    return {
        "edge pixels": np.concatenate(edge, axis=1)
        .reshape(len(bright), -1, 4)
        .mean(axis=2, dtype=np.float32),
        "dark margin": np.stack(margins, axis=1).astype(np.float32),
        "background": _statistics(thumbnails.astype(np.float32), background(thumbnails)),
    }


def _first(line: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of False before the first True in each row of (n, 64)."""
    return np.where(line.any(axis=1), line.argmax(axis=1), THUMBNAIL)


def _statistics(values: Floats, where: NDArray[np.bool_]) -> Floats:
    count = where.sum(axis=(1, 2))
    average, square, black, nearly_black = (
        np.where(where, of, 0).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count, 1)
        for of in (values, values**2, values == 0, values <= 2)
    )
    deviation = np.sqrt(np.maximum(square - average**2, 0))
    highest = np.where(where, values, 0).max(axis=(1, 2))
    table = np.stack([average, deviation, highest, black, nearly_black], axis=1)
    table[count == 0] = -1
    return table.astype(np.float32)
