"""Recipe + Splits + Catalog in, Runs out."""

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.data.catalog import Catalog
from gliascope.data.claim import claim
from gliascope.data.parallel import ALONE, Hosts, Workers, parallel_map
from gliascope.data.split import Split, still_there
from gliascope.data.store import Store, check_cache, row_hashes, store
from gliascope.errors import GliascopeError, RunError
from gliascope.files import check_writable, safe_name
from gliascope.inference.bundle import Bundle
from gliascope.pipeline.calibrate import calibrate, slices_needed
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
    shard: bool = False,
    by_host: bool = False,
) -> list[Run]:
    """Train `recipe` once for each different training part of `splits`, in a process set up for it.

    The first run goes into `folder`, others beside it (see `run_folders`). Each model is calibrated. After
    an interruption the same call goes on. workers: who decodes and trains, by default this process, one run
    after the other; others need `folder` and the cache under the same paths. by_host: each host that torchrun
    started us on reads and keeps its part of the slices alone. Raises as training.run.train, BusyError where
    another process is in one of the folders, RunError for `by_host` without torchrun, and GliascopeError for
    a slice that is lost where hosts have a part each: they could not agree on what is left.
    """
    from gliascope.models.backbones import complete

    if workers and (shard or by_host):
        raise RunError("--cluster trains each run on one core; --shard and --by-host are for torchrun alone")
    recipe = complete(recipe)
    check_cache()
    check_writable(folder)
    asked = [split.for_task(recipe.task) for split in splits]
    _check_new(asked, recipe, folder, devices, shard)
    hosts = Hosts.of_torchrun() if by_host else ALONE
    images = _images(catalog, recipe, workers, hosts)
    splits = still_there(splits, images)
    places = list(run_folders([split.for_task(recipe.task) for split in splits], folder).items())
    work = partial(
        _train, recipe=recipe, images=images, devices=devices, cache=cache, shard=shard, hosts=hosts,
        catalog=catalog if hosts.count > 1 else None,
    )  # fmt: skip
    if workers is None:
        return [work(place) for place in places]
    return list(parallel_map(workers.give(work), places, "trainings", workers))


def _check_new(splits: Sequence[Split], recipe: Recipe, folder: Path, devices: int, shard: bool) -> None:
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
        check_trainable(recipe, classes, devices, shard)


def _images(catalog: Catalog, recipe: Recipe, workers: Workers | None, hosts: Hosts) -> Store:
    """The store, with what this host needs of it."""
    if hosts.count == 1:
        return store(catalog.frame, recipe.preprocessing, workers)
    hashes = row_hashes(catalog.frame)
    own = hosts.parts(np.arange(len(hashes)))[hosts.own]
    return _part(catalog, recipe, hashes[own], workers)


def _part(
    catalog: Catalog, recipe: Recipe, wanted: NDArray[np.str_], workers: Workers | None = None
) -> Store:
    """The store with these slices, all of them."""
    images = store(catalog.frame, recipe.preprocessing, workers, wanted)
    if len(images.lost):
        raise GliascopeError(
            f"{len(images.lost)} slices are gone or changed since the scan, which --by-host cannot leave "
            "out; run `gliascope scan` again"
        )
    return images


def _train(
    place: tuple[Path, Split],
    recipe: Recipe,
    images: Store,
    devices: int,
    cache: bool,
    shard: bool,
    hosts: Hosts,
    catalog: Catalog | None,
) -> Run:
    """catalog: where the store holds a part of it, and other slices may have to be read, too."""
    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.run import train as train_run

    keep_freed_memory()
    folder, split = place
    with _claim(folder):
        run = train_run(recipe, split, images, folder, devices, cache, shard, hosts)
        if catalog and _is_first() and Bundle.load(run.model).info.calibrator is None:
            _part(catalog, recipe, slices_needed(split, recipe.chooses))
        calibrate(run, images, split)
    return run


def _claim(folder: Path) -> AbstractContextManager[Path]:
    """Keep others out; under torchrun the first process does it for all."""
    return claim(folder) if _is_first() else nullcontext(folder)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


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
