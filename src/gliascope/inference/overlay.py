"""A class activation map, drawn over its slice."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.data.head import Box

_COLOUR = np.array([255.0, 96.0, 0.0])


def overlay(
    pixels: NDArray[np.uint8], activation: NDArray[np.float32], box: Box | None = None
) -> Image.Image:
    """Tint a slice, (height, width[, 3]), where the map, (h, w), speaks for the class.

    `box` is what the map covers of the slice, as `preprocess.seen` tells; None is all of it.
    Negative values speak against the class and stay untinted; the strongest place is tinted by 60 %.
    """
    height, width = pixels.shape[:2]
    top, bottom, left, right = box or (0, height, 0, width)
    positive = np.maximum(activation, 0)
    peak = float(positive.max())
    scaled = Image.fromarray((positive / peak if peak > 0 else positive).astype(np.float32))
    (y0, y1), (v0, v1) = _common(top, bottom, height, scaled.height)
    (x0, x1), (u0, u1) = _common(left, right, width, scaled.width)
    placed = scaled.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=(u0, v0, u1, v1))
    strength = np.zeros((height, width, 1), dtype=np.float32)
    strength[y0:y1, x0:x1, 0] = 0.6 * np.asarray(placed).clip(0, 1)
    colour = np.broadcast_to(pixels[:, :, None] if pixels.ndim == 2 else pixels, (height, width, 3))
    return Image.fromarray((colour * (1 - strength) + _COLOUR * strength).round().astype(np.uint8))


def _common(start: int, end: int, length: int, cells: int) -> tuple[tuple[int, int], tuple[float, float]]:
    """What slice and map share along one axis: in pixels of the slice, and in cells of the map."""
    low, high = max(start, 0), min(end, length)
    return (low, high), ((low - start) * cells / (end - start), (high - start) * cells / (end - start))
