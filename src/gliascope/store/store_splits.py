"""Catalog + Splits in, Store out, and the splits without the slices that it lost."""

from collections.abc import Sequence

import polars as pl

from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime.executors import Executor
from gliascope.runtime.progress import note
from gliascope.splits.split import SUBSETS, Split, check_split
from gliascope.store.store import Store, store


def store_splits(
    frame: pl.DataFrame,
    splits: Sequence[Split],
    preprocessing: Preprocessing,
    executor: Executor | None = None,
) -> tuple[Store, list[Split]]:
    """Find or build a Store, and drop from the splits the slices whose files were lost since the scan.

    Every later step is handed both, so none has to ask for the Store or for lost slices again.

    Parameters
    ----------
    frame : pl.DataFrame
        Rows of a catalogue: what is stored.
    splits : Sequence[Split]
        Splits of that catalogue.
    preprocessing : Preprocessing
        What is done to a slice before it is stored.
    executor : Executor, optional
        What decodes the files; by default all cores of this machine.

    Returns
    -------
    tuple[Store, list[Split]]
        The Store, and the splits without lost slices; groups and subsets stay as they are.

    Raises
    ------
    SplitError
        Where a subset, or a class of the training subset, has lost all its slices.
    GliascopeError
        Where no file can be read.
    """
    images = store(frame, preprocessing, executor)
    return images, [_without_lost(one, images) for one in splits]


def _without_lost(split: Split, images: Store) -> Split:
    left = Split(images.drop_missing(split.frame))
    if lost := split.frame.height - left.frame.height:
        # `tune` and ensembles have splits without test slices.
        check_split(left, [name for name in SUBSETS if name in set(split.frame["subset"])])
        counts = [f"{split.subset(name).height - left.subset(name).height} of {name}" for name in SUBSETS]
        named = f"protocol {left.protocol} {left.fold_name}".rstrip()
        note(f"{named} goes on without {lost} slices: {', '.join(counts)}")
    return left
