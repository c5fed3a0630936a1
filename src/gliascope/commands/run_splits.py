"""Find the splits that a finished run was trained on."""

from collections.abc import Sequence
from pathlib import Path

from gliascope.dataset.catalog import Catalog
from gliascope.errors import RunError
from gliascope.recipes.run import Run
from gliascope.splits.split import Split, load_splits
from gliascope.store.store_splits import store_splits


def splits_of_run(trained: Run, splits: Sequence[Split], catalog: Catalog) -> list[Split]:
    """Return those splits that the run was trained on.

    Slices that could not be read when the run was trained are removed, as `train` did.

    Parameters
    ----------
    trained
        A run.
    splits
        Splits to choose from.
    catalog
        The catalogue of the splits.

    Raises
    ------
    RunError
        If the run was trained on none of the splits.
    """
    own = _of_training(trained, splits)
    if not own:
        _, left = store_splits(catalog.frame, splits, trained.recipe.preprocessing)
        own = _of_training(trained, left)
    if not own:
        raise RunError(
            f"{trained.folder}: was trained on another split; name the split of this run by --split"
        )
    return own


def first_splits_of_run(trained: Run, split: Path | None, catalog: Catalog) -> list[Split]:
    """Return the first split of each protocol that the run was trained on.

    The splits are read from the file `split`, by default from split.parquet beside the run. Raises RunError
    if there is none.
    """
    own = splits_of_run(trained, load_splits(trained.input_path("split.parquet", split)), catalog)
    return list({one.protocol: one for one in reversed(own)}.values())[::-1]


def _of_training(trained: Run, splits: Sequence[Split]) -> list[Split]:
    return [one for one in splits if one.for_task(trained.recipe.task).training_hash == trained.record.split]
