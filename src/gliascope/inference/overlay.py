"""Draw a class activation map over its slice."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.preprocessing.head import Box

_COLOUR = np.array([255.0, 96.0, 0.0])
_EDGE = np.array([0, 220, 255], dtype=np.uint8)


def draw_overlay(
    pixels: NDArray[np.uint8],
    activation: NDArray[np.float32],
    box: Box,
    mask: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """Tint a slice where its class activation map is positive, that is, where it supports the class.

    Parameters
    ----------
    pixels
        uint8 (height, width) or (height, width, 3).
    activation
        float32 (h, w). Its maximum is tinted by 60 %; negative values are not tinted.
    box
        The part of `pixels` that the map covers: `preprocess.visible_box` of a slice as it was read, or
        `Preprocessing.stored_box` of a preprocessed one.
    mask
        bool (height, width): a lesion, whose outline is drawn.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    positive = enlarge_map(np.maximum(activation, 0), shape, box)
    peak = float(positive.max())
    strength = 0.6 * (positive / peak if peak > 0 else positive)[:, :, None]
    colour = np.broadcast_to(pixels[:, :, None] if pixels.ndim == 2 else pixels, (*shape, 3))
    tinted = (colour * (1 - strength) + _COLOUR * strength).round().astype(np.uint8)
    if mask is not None:
        inner = np.pad(mask, 1)
        inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        tinted[mask & ~inside] = _EDGE
    return Image.fromarray(tinted)


def enlarge_map(activation: NDArray[np.float32], shape: tuple[int, int], box: Box) -> NDArray[np.float32]:
    """Enlarge a class activation map to the size of its slice.

    Each cell becomes a cubic B-spline, because the part of the picture that the network sees of a cell also
    has no sharp edge and overlaps its neighbours. A peak may therefore lie between two strong cells, whereas
    interpolation, which keeps the values of the cells, would put it at the centre of one.

    Parameters
    ----------
    activation
        float32 (h, w).
    shape
        Height and width of the slice.
    box
        The part of the slice that the map covers, as for `draw_overlay`.

    Returns
    -------
    float32 (height, width)
        0 outside the box.

    References
    ----------
    Unser, IEEE Signal Process. Mag. 16(6):22, 1999.
    """
    height, width = shape
    top, bottom, left, right = box
    rows = _bumps(height, top, bottom, activation.shape[0])
    columns = _bumps(width, left, right, activation.shape[1])
    return np.asarray(rows @ activation @ columns.T, dtype=np.float32)


def _bumps(length: int, start: int, end: int, cells: int) -> NDArray[np.float32]:
    """Weights of cells that lie from `start` to `end`, at each of `length` pixels: (length, cells).

    The weights of a pixel sum to 1, or are 0 outside the cells.
    """
    position = (np.arange(length) + 0.5 - start) * cells / (end - start)
    distance = np.abs(position[:, None] - 0.5 - np.arange(cells))
    near = 2 / 3 - distance**2 + distance**3 / 2
    weights = np.where(distance < 1, near, np.maximum(2 - distance, 0) ** 3 / 6)
    weights[(position < 0) | (position > cells)] = 0
    total = weights.sum(axis=1, keepdims=True)  # less than 1 at the border, where cells are missing
    return np.asarray(np.divide(weights, total, out=weights, where=total > 0), dtype=np.float32)
