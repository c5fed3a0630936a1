"""What a recipe is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.recipes import Recipe
from gliascope.splits.split import Split
from gliascope.store.store import Store


@dataclass(frozen=True, slots=True)
class Subset:
    """Slices of one part of a split: store rows and class numbers, both int64 (slices,), and files."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    paths: Sequence[str]

    @classmethod
    def from_split(cls, split: Split, store: Store, name: str) -> "Subset":
        """One part of a split. Raises GliascopeError where the store is of another catalogue."""
        frame = split.subset(name)
        rows, labels = store.rows(frame["pixel_hash"]), split.class_numbers(name)
        # Not the catalogue's order, which follows that of the sources on the command line.
        order = np.lexsort((labels, rows))
        return cls(rows[order], labels[order], frame["path"][order].to_list())


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a recipe is trained on. With `cache`, what a frozen part makes of a view is kept on disk."""

    recipe: Recipe
    store: Store
    classes: int
    train: Subset
    val: Subset
    test: Subset
    cache: bool = True
