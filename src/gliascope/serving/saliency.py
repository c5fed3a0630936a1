"""Pictures: a slice as it was read, and where the model looked."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.data.head import Box
from gliascope.inference.overlay import placed

COLOUR = (255, 96, 0)
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
    positive = placed(np.maximum(activation, 0), shape, box)
    peak = float(positive.max())
    picture = np.empty((*shape, 4), dtype=np.uint8)
    picture[:, :, :3] = COLOUR
    picture[:, :, 3] = (255 * positive / peak).round() if peak > 0 else 0
    return _png(Image.fromarray(picture))


def _png(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, format="png", compress_level=_FAST)
    return content.getvalue()
