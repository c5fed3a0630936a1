"""The slices that a recipe is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.recipes import Recipe
from gliascope.splits.split import Split
from gliascope.store.store import Store


@dataclass(frozen=True, slots=True)
class Subset:
    """The slices of one subset of a split: train, val or test.

    Attributes
    ----------
    rows : int64 (slices,)
        Row numbers in the store.
    labels : int64 (slices,)
        Class numbers.
    paths : sequence of str
        The file of each slice.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    paths: Sequence[str]

    @classmethod
    def from_split(cls, split: Split, store: Store, name: str) -> "Subset":
        """Find a subset's slices in the store. Raises GliascopeError where the store lacks some."""
        frame = split.subset(name)
        rows, labels = store.rows(frame["pixel_hash"]), split.class_numbers(name)
        # The catalogue's own order depends on the order of the sources on the command line.
        order = np.lexsort((labels, rows))
        return cls(rows[order], labels[order], frame["path"][order].to_list())


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A recipe and the slices to train it on.

    Attributes
    ----------
    recipe : Recipe
    store : Store
        The preprocessed slices of all subsets.
    classes : int
        Number of classes.
    train, val, test : Subset
        `test` is used only by recipes that watch it (`Recipe.watch_test`), to show what that leak does.
    cache : bool
        Whether activations of frozen layers are kept on disk.
    """

    recipe: Recipe
    store: Store
    classes: int
    train: Subset
    val: Subset
    test: Subset
    cache: bool = True
