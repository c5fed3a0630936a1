"""Train a recipe only to compare it with others by its validation figures: no model, no test slices."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gliascope.models.classifier import build_classifier
from gliascope.recipes import Recipe
from gliascope.recipes.run import EpochMetrics
from gliascope.splits.split import Split
from gliascope.store.store import Store
from gliascope.training.data import Subset, TrainingData
from gliascope.training.distributed import create_fabric
from gliascope.training.environment import set_determinism
from gliascope.training.loop import fit, load_history


def train_and_validate(
    recipe: Recipe,
    split: Split,
    store: Store,
    folder: Path,
    *,
    on_epoch: Callable[[Sequence[EpochMetrics]], None],
    cache: bool = True,
) -> list[EpochMetrics]:
    """Train a recipe on the training subset and return all epochs with their validation figures.

    Parameters
    ----------
    recipe
        What to train, and how.
    split
        Which slices train, and which validate. Its test slices are not read.
    store
        The preprocessed slices, made with the recipe's preprocessing.
    folder
        Where checkpoints are written; the same call continues from them.
    on_epoch
        Called with all epochs so far, after each epoch. It ends the training by raising an exception.
    cache
        Whether activations of frozen layers are kept on disk.

    Raises
    ------
    DivergedError
        For a loss that is not finite.
    """
    set_determinism(recipe.deterministic)
    train, val = (Subset.from_split(split, store, name) for name in ("train", "val"))
    nothing = Subset(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), ())
    data = TrainingData(recipe, store, len(split.classes), train=train, val=val, test=nothing, cache=cache)
    classifier = build_classifier(recipe, len(split.classes))
    fabric = create_fabric()
    # One callable without arguments: Fabric searches arguments for tensors, and fails on frozen dataclasses.
    fabric.launch(partial(fit, classifier=classifier, data=data, folder=folder, on_epoch=on_epoch))
    return load_history(folder)
