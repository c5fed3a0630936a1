"""Recipe + Splits + Catalog in, Runs out."""

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from gliascope.data.catalog import Catalog
from gliascope.data.claim import claim
from gliascope.data.parallel import Workers, parallel_map
from gliascope.data.split import Split, still_there
from gliascope.data.store import Store, check_cache, store
from gliascope.files import check_writable, safe_name
from gliascope.pipeline.calibrate import calibrate
from gliascope.recipes import Recipe
from gliascope.recipes.run import Run


def train(
    recipe: Recipe,
    catalog: Catalog,
    splits: Sequence[Split],
    folder: Path,
    devices: int = 1,
    cache: bool = True,
    workers: Workers | None = None,
) -> list[Run]:
    """Train `recipe` once for each different training part of `splits`, in a process set up for it.

    The first run goes into `folder`, others beside it (see `run_folders`). Each model is calibrated. After
    an interruption the same call goes on. workers: who decodes and trains, by default this process, one run
    after the other; others need `folder` and the cache under the same paths. Raises as training.run.train,
    and BusyError where another process is in one of the folders.
    """
    from gliascope.models.backbones import complete

    recipe = complete(recipe)
    check_cache()
    check_writable(folder)
    asked = [split.for_task(recipe.task) for split in splits]
    _check_new(asked, recipe, folder, devices)
    images = store(catalog.frame, recipe.preprocessing, workers)
    splits = still_there(splits, images)
    places = list(run_folders([split.for_task(recipe.task) for split in splits], folder).items())
    work = partial(_train, recipe=recipe, images=images, devices=devices, cache=cache)
    if workers is None:
        return [work(place) for place in places]
    return list(parallel_map(workers.give(work), places, "trainings", workers))


def _check_new(splits: Sequence[Split], recipe: Recipe, folder: Path, devices: int) -> None:
    """Raise, before slices are read, for runs of another recipe, and for what cannot be trained."""
    from gliascope.training.ready import check_trainable

    new = []
    for place, split in run_folders(splits, folder).items():
        there = Run.load(place) if (place / "run.json").exists() else None
        if there is not None:
            there.check_inputs(recipe, there.record.split)
        if there is None or not there.model.exists():
            new.append(split)
    for classes in sorted({len(split.classes) for split in new}):
        check_trainable(recipe, classes, devices)


def _train(place: tuple[Path, Split], recipe: Recipe, images: Store, devices: int, cache: bool) -> Run:
    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.run import train as train_run

    keep_freed_memory()
    folder, split = place
    with _claim(folder):
        run = train_run(recipe, split, images, folder, devices, cache)
        calibrate(run, images, split)
    return run


def _claim(folder: Path) -> AbstractContextManager[Path]:
    """Keep others out; under torchrun the first process does it for all."""
    return claim(folder) if os.environ.get("RANK", "0") == "0" else nullcontext(folder)


def run_folders(splits: Sequence[Split], folder: Path) -> dict[Path, Split]:
    """Where each different training goes: `folder`, then like `folder`-grouped or `folder`-folds-fold-2."""
    places: dict[Path, Split] = {}
    seen: set[str] = set()
    for split in splits:
        if split.training not in seen:
            name = re.sub(r"[^\w.-]+", "-", f"{folder.name} {split.protocol} {split.round}".strip())
            place = folder.with_name(safe_name(name)) if seen else folder
            another = place.with_name(safe_name(f"{name}-{split.training[:6]}"))
            places[place if place not in places else another] = split
            seen.add(split.training)
    return places
