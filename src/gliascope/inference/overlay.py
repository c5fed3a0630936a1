"""A class activation map, drawn over its slice."""

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
    """Tint a slice, (height, width[, 3]), where the map, (h, w), speaks for the class.

    `box` is what the map covers of `pixels`: `preprocess.seen` of a slice as it was read,
    `Preprocessing.square` of one as it is stored.
    Negative values speak against the class and stay untinted; the strongest place is tinted by 60 %.
    The edge of `mask`, bool (height, width), is drawn over it.
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
    """The map, (h, w), enlarged to a slice of `shape`, (height, width), as `overlay` shows it.

    `box` as there; what lies outside it was not seen and is 0. Each cell becomes a cubic B-spline bump (Unser
    1999, IEEE Signal Process. Mag. 16(6):22), for what the network sees of it has no edge either, and
    reaches into its neighbours. So a peak lies between the strong cells, where interpolation, which keeps
    their values, would put it at the middle of one.
    """
    height, width = shape
    top, bottom, left, right = box
    rows = _bumps(height, top, bottom, activation.shape[0])
    columns = _bumps(width, left, right, activation.shape[1])
    return np.asarray(rows @ activation @ columns.T, dtype=np.float32)


def _bumps(length: int, start: int, end: int, cells: int) -> NDArray[np.float32]:
    """Weight of each cell at each of `length` pixels, (length, cells), cells lying from `start` to `end`.

    Weights of a pixel sum to 1; those of pixels outside are 0.
    """
    place = (np.arange(length) + 0.5 - start) * cells / (end - start)
    distance = np.abs(place[:, None] - 0.5 - np.arange(cells))
    near = 2 / 3 - distance**2 + distance**3 / 2
    weights = np.where(distance < 1, near, np.maximum(2 - distance, 0) ** 3 / 6)
    weights[(place < 0) | (place > cells)] = 0
    total = weights.sum(axis=1, keepdims=True)  # less than 1 at the border, where cells are missing
    return np.asarray(np.divide(weights, total, out=weights, where=total > 0), dtype=np.float32)
