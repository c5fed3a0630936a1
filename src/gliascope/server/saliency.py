"""PNG pictures of a slice and of its saliency map."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.inference.overlay import enlarge_map
from gliascope.preprocessing.head import Box

SALIENCY_COLOUR = (255, 96, 0)
_COMPRESSION = 1
"""zlib's level. On slices, the highest level saves a tenth of the bytes and takes ten times as long."""


def slice_png(pixels: NDArray[np.uint8]) -> bytes:
    """Make a PNG of a slice, uint8 (height, width) or RGB (height, width, 3)."""
    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def saliency_png(activation: NDArray[np.float32], shape: tuple[int, int], box: Box) -> bytes:
    """Make an RGBA PNG of a saliency map in one colour: the stronger the map, the more opaque.

    The strongest pixel is opaque. Negative values, and pixels outside of the box, are transparent.

    Parameters
    ----------
    activation
        The map, float32 (h, w).
    shape
        Height and width of the slice, and of the picture.
    box
        Region of the slice that the network saw, from `preprocess.visible_box`.
    """
    strength = enlarge_map(np.maximum(activation, 0), shape, box)
    peak = float(strength.max())
    if peak > 0:
        # In place, to save memory: a slice may have 64 million pixels.
        np.rint(np.multiply(strength, 255 / peak, out=strength), out=strength)
    picture = Image.new("RGB", shape[::-1], SALIENCY_COLOUR)
    picture.putalpha(Image.fromarray(strength.astype(np.uint8)))
    return _png(picture)


def _png(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, format="png", compress_level=_COMPRESSION)
    return content.getvalue()
