"""Train a recipe on every training subset of some splits, and calibrate the trained models."""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

from gliascope.commands.calibrate import calibrate
from gliascope.errors import RunError
from gliascope.recipes import Recipe
from gliascope.recipes.run import Run
from gliascope.runtime.executors import Executor, map_with_progress
from gliascope.runtime.files import check_writable, safe_name
from gliascope.runtime.folder_lock import folder_lock
from gliascope.splits.split import Split
from gliascope.store.store import Store, check_cache

Item = TypeVar("Item")
Result = TypeVar("Result")


def check_training(recipe: Recipe, splits: Sequence[Split], folder: Path, devices: int = 1) -> None:
    """Check, before slices are stored, that `train` can do its work; parameters are those of `train`.

    Raises
    ------
    RunError
        If one of the run folders holds a run of another recipe.
    GliascopeError
        If the recipe cannot be trained on these classes, or folder or cache cannot be written.
    """
    from gliascope.training.checks import check_trainable

    check_cache()
    check_writable(folder)
    new = []
    for run_folder, split in run_folders(splits, folder).items():
        existing = Run.load(run_folder) if (run_folder / "run.json").exists() else None
        if existing is not None:
            existing.check_inputs(recipe, existing.record.split)
        if existing is None or not existing.model.exists():
            new.append(split)
    for classes in sorted({len(split.classes) for split in new}):
        check_trainable(recipe, classes, devices)


def train(
    recipe: Recipe,
    splits: Sequence[Split],
    images: Store,
    folder: Path,
    *,
    devices: int = 1,
    cache: bool = True,
    executor: Executor | None = None,
) -> list[Run]:
    """Train a recipe once for each different training subset.

    The models are not calibrated yet; `calibrate_runs` does that. After an interruption, the same call
    continues at the epoch where training stopped.

    Parameters
    ----------
    recipe
        A recipe that `gliascope.models.backbones.complete_recipe` has completed.
    splits
        Splits with the labels of the recipe's task, holding only slices that `images` holds.
    images
        The slices under the recipe's preprocessing.
    folder
        Folder of the first run; further runs go beside it (see `run_folders`).
    devices
        Number of GPUs, or of CPU processes, that train together.
    cache
        Whether outputs of frozen layers are kept on disk.
    executor
        The executor that trains the runs; by default this process trains one after the other. Other
        machines need `folder` and the cache under the same paths.

    Returns
    -------
    list of Run
        Finished runs, in the order of `run_folders`.

    Raises
    ------
    BusyError
        If another process works in one of the folders.
    RunError
        If a folder holds a run of another recipe or split.
    DivergedError
        If the loss is not finite.
    """
    work = partial(_train, recipe=recipe, images=images, devices=devices, cache=cache)
    return _map(work, list(run_folders(splits, folder).items()), "trainings", executor)


def calibrate_runs(
    runs: Sequence[Run], images: Store, splits: Sequence[Split], *, executor: Executor | None = None
) -> None:
    """Calibrate each run on the split that it was trained on; calibrated runs stay as they are.

    Parameters
    ----------
    runs
        Finished runs. The findings of a model are `unchecked` until the model is calibrated.
    images
        The slices under the preprocessing of the models.
    splits
        The splits that `train` was given.
    executor
        The executor that calibrates, as in `train`.

    Raises
    ------
    RunError
        If a run was trained on none of the splits.
    """
    first = {split.training_hash: split for split in reversed(splits)}
    for trained in runs:
        if trained.record.split not in first:
            raise RunError(
                f"{trained.folder}: was trained on another split and cannot be calibrated on this one"
            )
    pairs = [(trained, first[trained.record.split]) for trained in runs]
    _map(partial(_calibrate, images=images), pairs, "calibrations", executor)


def run_folders(splits: Sequence[Split], folder: Path) -> dict[Path, Split]:
    """Return the run folder of each different training: `folder`, then names like `folder`-folds-fold-2."""
    folders: dict[Path, Split] = {}
    seen: set[str] = set()
    for split in splits:
        if split.training_hash not in seen:
            name = re.sub(r"[^\w.-]+", "-", f"{folder.name} {split.protocol} {split.fold_name}".strip())
            run_folder = folder.with_name(safe_name(name)) if seen else folder
            alternative = run_folder.with_name(safe_name(f"{name}-{split.training_hash[:6]}"))
            folders[run_folder if run_folder not in folders else alternative] = split
            seen.add(split.training_hash)
    return folders


def _map(
    work: Callable[[Item], Result], items: Sequence[Item], description: str, executor: Executor | None
) -> list[Result]:
    """Apply a function to the items, one after the other or with an executor several at once."""
    if executor is None:
        return [work(item) for item in items]
    return list(map_with_progress(executor.wrap(work), items, description, executor))


def _train(target: tuple[Path, Split], *, recipe: Recipe, images: Store, devices: int, cache: bool) -> Run:
    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.run import train as train_run

    keep_freed_memory()
    folder, split = target
    with _lock(folder):
        return train_run(recipe, split, images, folder, devices=devices, cache=cache)


def _calibrate(pair: tuple[Run, Split], images: Store) -> None:
    trained, split = pair
    with _lock(trained.folder):
        calibrate(trained, images, split)


def _lock(folder: Path) -> AbstractContextManager[Path]:
    """Lock a folder against other processes; under torchrun the first process does it for all."""
    return folder_lock(folder) if os.environ.get("RANK", "0") == "0" else nullcontext(folder)
