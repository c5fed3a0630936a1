"""Slices and a recipe small enough for tests."""

import numpy as np
from PIL import Image

LABELS = ("glioma", "meningioma", "notumor", "pituitary")

# Overrides of `quick`.
TINY = (
    "preprocessing.size=64",
    "views=2",
    "stages.0.epochs=2",
    "stages.0.batch_size=8",
)


def slice_image(label: int, seed: int, size: int = 48) -> Image.Image:
    """A grey disc whose place tells the class, in noise: learnable in a few steps, different in every pixel."""
    random = np.random.default_rng([label, seed])
    y, x = np.mgrid[:size, :size]
    centre = size * np.array([0.3 + 0.4 * (label // 2), 0.3 + 0.4 * (label % 2)]) + random.normal(0, 1.5, 2)
    disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (size / 7) ** 2
    return Image.fromarray((random.uniform(20, 80, (size, size)) + 140 * disc).astype(np.uint8))
