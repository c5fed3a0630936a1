"""Features of a slice for the out-of-distribution score: the network's features, grey levels and layout."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.preprocessing.preprocess import to_grey

OodFeature = Literal["network", "grey_levels", "layout"]
OOD_FEATURES: tuple[OodFeature, ...] = get_args(OodFeature)
OodFeatures = Mapping[OodFeature, NDArray[np.float32]]
"""Features of n slices by name, each float32 (n, width)."""

GREY_LEVELS = 8
LAYOUT_SIDE = 16


def ood_features(pixels: NDArray[np.uint8], network: NDArray[np.float32]) -> OodFeatures:
    """Compute all OOD_FEATURES of n slices.

    Parameters
    ----------
    pixels : uint8 (n, height, width) or (n, height, width, 3)
        The preprocessed slices.
    network : float32 (n, channels)
        The network's pooled features of these slices.
    """
    return {"network": network, "grey_levels": grey_levels(pixels), "layout": layout(pixels)}


def grey_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of pixels in GREY_LEVELS equal ranges of grey, float32 (n, GREY_LEVELS).

    pixels: uint8 (n, height, width) or (n, height, width, 3). Euclidean distance between square roots of
    shares is the Hellinger distance between histograms.
    """
    width = 256 // GREY_LEVELS
    counts = [np.bincount(to_grey(one).ravel() // width, minlength=GREY_LEVELS) for one in pixels]
    roots: NDArray[np.float32] = np.sqrt(np.stack(counts) / np.prod(pixels.shape[1:3])).astype(np.float32)
    return roots


def layout(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where slices are bright and dark: the mean grey of LAYOUT_SIDE × LAYOUT_SIDE equal boxes, in [0, 1].

    pixels: uint8 (n, height, width) or (n, height, width, 3). Returns float32 (n, LAYOUT_SIDE²).
    """
    side = (LAYOUT_SIDE, LAYOUT_SIDE)
    small = [Image.fromarray(to_grey(one)).resize(side, Image.Resampling.BOX) for one in pixels]
    return np.stack([np.asarray(one, dtype=np.float32).ravel() / 255 for one in small])
