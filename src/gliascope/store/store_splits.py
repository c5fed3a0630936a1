"""Build the store of a catalogue, and drop from its splits the slices that are missing."""

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
    """Find or build a store, and drop from the splits the slices whose files are missing since the scan.

    Every later step is given both, so that none has to search for the store or for missing slices again.

    Parameters
    ----------
    frame : pl.DataFrame
        Catalogue rows to store.
    splits : Sequence[Split]
        Splits of that catalogue.
    preprocessing : Preprocessing
        How slices are preprocessed.
    executor : Executor, optional
        What decodes the files; by default all cores of this machine.

    Returns
    -------
    tuple[Store, list[Split]]
        The store, and the splits without missing slices. Groups and subsets are unchanged.

    Raises
    ------
    SplitError
        If all slices of a subset, or of a class of the training subset, are missing.
    GliascopeError
        If no file can be read.
    """
    images = store(frame, preprocessing, executor)
    return images, [_without_missing(one, images) for one in splits]


def _without_missing(split: Split, images: Store) -> Split:
    """Drop the store's missing slices from a split, with a note."""
    left = Split(images.drop_missing(split.frame))
    if lost := split.frame.height - left.frame.height:
        # `tune` and ensembles have splits without test slices.
        check_split(left, [name for name in SUBSETS if name in set(split.frame["subset"])])
        counts = [f"{split.subset(name).height - left.subset(name).height} of {name}" for name in SUBSETS]
        named = f"protocol {left.protocol} {left.fold_name}".rstrip()
        note(f"{named} goes on without {lost} slices: {', '.join(counts)}")
    return left
