"""Recipe + Splits + Store in, Runs out; then Runs + Splits + Store in, calibrated Runs out."""

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
    """Raise, before slices are stored, for what `train` could not do; parameters as there.

    Raises RunError for a run of another recipe in one of the folders, and what `check_trainable` raises for
    a recipe that cannot be trained on these classes.
    """
    from gliascope.training.checks import check_trainable

    check_cache()
    check_writable(folder)
    new = []
    for place, split in run_folders(splits, folder).items():
        there = Run.load(place) if (place / "run.json").exists() else None
        if there is not None:
            there.check_inputs(recipe, there.record.split)
        if there is None or not there.model.exists():
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
    """Train a recipe once for each different training subset, in a process set up for it.

    The models are not calibrated yet: `calibrate_runs` follows. After an interruption the same call goes on.

    Parameters
    ----------
    recipe : Recipe
        Completed by `gliascope.models.backbones.complete`.
    splits : Sequence[Split]
        With the labels of the recipe's task, and only slices that `images` holds.
    images : Store
        The slices under the recipe's preprocessing.
    folder : Path
        Where the first run goes; others go beside it (see `run_folders`).
    devices : int
        GPUs, or CPU processes, that train together.
    cache : bool
        Whether what frozen layers make of each view is kept on disk.
    executor : Executor, optional
        Who trains the runs, by default this process, one after the other. Others need `folder` and the
        cache under the same paths.

    Returns
    -------
    list[Run]
        Finished runs, in the order of `run_folders`.

    Raises
    ------
    BusyError
        Where another process is in one of the folders.
    RunError
        Where a folder holds a run of another recipe or split.
    DivergedError
        For a loss that is not finite.
    """
    work = partial(_train, recipe=recipe, images=images, devices=devices, cache=cache)
    return _each(work, list(run_folders(splits, folder).items()), "trainings", executor)


def calibrate_runs(
    runs: Sequence[Run], images: Store, splits: Sequence[Split], *, executor: Executor | None = None
) -> None:
    """Calibrate each run on the split that it was trained on; one that is calibrated stays as it is.

    Parameters
    ----------
    runs : Sequence[Run]
        Finished runs. Until it is calibrated, a model's findings are `unchecked`.
    images : Store
        The slices under the models' preprocessing.
    splits : Sequence[Split]
        As `train` got them.
    executor : Executor, optional
        Who calibrates, as in `train`.

    Raises
    ------
    RunError
        For a run that was trained on none of the splits.
    """
    first = {split.training_hash: split for split in reversed(splits)}
    for trained in runs:
        if trained.record.split not in first:
            raise RunError(f"{trained.folder}: was trained on another split, so it is not calibrated on this")
    pairs = [(trained, first[trained.record.split]) for trained in runs]
    _each(partial(_calibrate, images=images), pairs, "calibrations", executor)


def run_folders(splits: Sequence[Split], folder: Path) -> dict[Path, Split]:
    """Where each different training goes: `folder`, then like `folder`-grouped or `folder`-folds-fold-2."""
    places: dict[Path, Split] = {}
    seen: set[str] = set()
    for split in splits:
        if split.training_hash not in seen:
            name = re.sub(r"[^\w.-]+", "-", f"{folder.name} {split.protocol} {split.fold_name}".strip())
            place = folder.with_name(safe_name(name)) if seen else folder
            another = place.with_name(safe_name(f"{name}-{split.training_hash[:6]}"))
            places[place if place not in places else another] = split
            seen.add(split.training_hash)
    return places


def _each(
    work: Callable[[Item], Result], items: Sequence[Item], description: str, executor: Executor | None
) -> list[Result]:
    """Work on the items one after the other, or let workers work on several at once."""
    if executor is None:
        return [work(item) for item in items]
    return list(map_with_progress(executor.wrap(work), items, description, executor))


def _train(place: tuple[Path, Split], recipe: Recipe, images: Store, devices: int, cache: bool) -> Run:
    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.run import train as train_run

    keep_freed_memory()
    folder, split = place
    with _claim(folder):
        return train_run(recipe, split, images, folder, devices=devices, cache=cache)


def _calibrate(pair: tuple[Run, Split], images: Store) -> None:
    trained, split = pair
    with _claim(trained.folder):
        calibrate(trained, images, split)


def _claim(folder: Path) -> AbstractContextManager[Path]:
    """Keep others out; under torchrun the first process does it for all."""
    return folder_lock(folder) if os.environ.get("RANK", "0") == "0" else nullcontext(folder)
