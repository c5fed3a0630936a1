"""Recipe + Split + Store in, figures of validation out: no model is kept, and no test slice looked at."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gliascope.models.classifier import build_classifier
from gliascope.recipes import Recipe
from gliascope.splits.split import Split
from gliascope.store.store import Store
from gliascope.training.data import Subset, TrainingData
from gliascope.training.distributed import create_fabric
from gliascope.training.environment import set_determinism
from gliascope.training.history import Epoch
from gliascope.training.loop import fit, load_history


def train_and_validate(
    recipe: Recipe,
    split: Split,
    store: Store,
    folder: Path,
    on_epoch: Callable[[Sequence[Epoch]], None],
    cache: bool = True,
) -> list[Epoch]:
    """Train on the split's training part; what validation said of each epoch.

    `watch` sees the epochs so far after each one, and ends the training by raising. `folder` then holds what
    it takes to go on: the same call does. Raises DivergedError for a loss that is not finite.
    """
    set_determinism(recipe.deterministic)
    nothing = Subset(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), ())
    train, val = (Subset.from_split(split, store, name) for name in ("train", "val"))
    material = TrainingData(recipe, store, len(split.classes), train, val, nothing, cache)
    classifier = build_classifier(recipe, len(split.classes))
    fabric = create_fabric()
    # As one callable: Fabric looks into arguments, and trips over frozen dataclasses.
    fabric.launch(partial(fit, classifier=classifier, data=material, folder=folder, on_epoch=on_epoch))
    return load_history(folder)
