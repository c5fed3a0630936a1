"""A class activation map, drawn over its slice."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_COLOUR = np.array([255.0, 96.0, 0.0])


def overlay(pixels: NDArray[np.uint8], activation: NDArray[np.float32]) -> Image.Image:
    """Tint a slice, (height, width[, 3]), where the map, (h, w), speaks for the class.

    Negative values speak against it and stay untinted; the strongest place is tinted by 60 %.
    """
    height, width = pixels.shape[:2]
    positive = np.maximum(activation, 0)
    peak = float(positive.max())
    scaled = Image.fromarray((positive / peak if peak > 0 else positive).astype(np.float32))
    strength = (
        0.6 * np.asarray(scaled.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)[:, :, None]
    )
    colour = np.broadcast_to(pixels[:, :, None] if pixels.ndim == 2 else pixels, (height, width, 3))
    return Image.fromarray((colour * (1 - strength) + _COLOUR * strength).round().astype(np.uint8))
