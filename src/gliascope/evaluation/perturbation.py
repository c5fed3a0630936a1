"""Insertion and deletion curves: whether a prediction depends on the pixels that a saliency map ranks high.

Pixels are revealed, or blackened, from the most salient to the least, while the probability of the class is
recorded (Petsiuk et al., RISE, BMVC 2018).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

STEPS = 16
BLUR = 0.045
"""Standard deviation of the blur that insertion starts from, as a share of the side: 10 pixels of 224."""

ScoreFunction = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Pictures (n, size, size[, 3]), uint8, to the probability of the class in question, (n,)."""


@dataclass(frozen=True, eq=False)
class PerturbationCurves:
    """Probability of the class after each of STEPS equal steps, (STEPS + 1,) each."""

    insertion: NDArray[np.float64]
    deletion: NDArray[np.float64]

    @property
    def areas(self) -> dict[str, float]:
        """Area under each curve; a good saliency map has a large insertion and a small deletion area."""
        return {
            "insertion": float(np.trapezoid(self.insertion) / STEPS),
            "deletion": float(np.trapezoid(self.deletion) / STEPS),
        }


def perturbation_curves(
    pixels: NDArray[np.uint8], saliency: NDArray[np.float32], score: ScoreFunction
) -> PerturbationCurves:
    """Compute the insertion and deletion curve of one image.

    Deletion blackens pixels. Insertion starts from a blurred image and restores pixels, so that no edge
    between revealed and hidden pixels resembles a lesion. Pixels of equal saliency come in a random order,
    the same every time.

    Parameters
    ----------
    pixels
        The image, uint8 (size, size[, 3]).
    saliency
        Its saliency map, (size, size).
    score
        Gives the probability of the class for a batch of images.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if saliency.shape != pixels.shape[:2]:
        raise ValueError(f"expected `saliency` of shape {pixels.shape[:2]} but got {saliency.shape}")
    tie = np.random.default_rng(0).permutation(saliency.size)
    order = tie[np.argsort(-saliency.ravel()[tie], kind="stable")]
    rank = np.empty(saliency.size)
    rank[order] = np.arange(saliency.size) / saliency.size
    # Of each step, which pixels have had their turn: (STEPS + 1, size, size).
    past = rank.reshape(saliency.shape) < (np.arange(STEPS + 1) / STEPS)[:, None, None]
    past = past[..., None] if pixels.ndim == 3 else past
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(BLUR * max(saliency.shape)))
    return PerturbationCurves(
        insertion=score(np.where(past, pixels, np.asarray(blurred))),
        deletion=score(np.where(past, np.uint8(0), pixels)),
    )
