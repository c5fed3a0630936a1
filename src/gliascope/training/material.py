"""What a recipe is trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.data.store import Store
from gliascope.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Part:
    """Slices of one part of a split: store rows, and class numbers; both int64 (slices,)."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe is trained on. With `cache`, what a frozen part makes of a view is kept on disk."""

    recipe: Recipe
    store: Store
    classes: int
    train: Part
    val: Part
    test: Part
    cache: bool = True
