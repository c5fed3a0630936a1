"""Pictures: a slice as it was read, and where the model looked."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.inference.overlay import enlarge_map
from gliascope.preprocessing.head import Box

SALIENCY_COLOUR = (255, 96, 0)
_FAST = 1
"""zlib's level: on slices, the highest saves a tenth of the bytes for ten times the time."""


def slice_png(pixels: NDArray[np.uint8]) -> bytes:
    """A slice, (height, width) grey or (height, width, 3) RGB, as PNG."""
    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def saliency_png(activation: NDArray[np.float32], shape: tuple[int, int], box: Box) -> bytes:
    """A map, (h, w), over a slice of `shape`, (height, width), as RGBA PNG: one colour, alpha its strength.

    `box` is what of the slice the network saw, as `preprocess.seen` tells. The strongest place is opaque;
    what speaks against the class, or was not seen, is transparent.
    """
    strength = enlarge_map(np.maximum(activation, 0), shape, box)
    peak = float(strength.max())
    if peak > 0:
        # In place: a slice may have 64 million pixels.
        np.rint(np.multiply(strength, 255 / peak, out=strength), out=strength)
    picture = Image.new("RGB", shape[::-1], SALIENCY_COLOUR)
    picture.putalpha(Image.fromarray(strength.astype(np.uint8)))
    return _png(picture)


def _png(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, format="png", compress_level=_FAST)
    return content.getvalue()
