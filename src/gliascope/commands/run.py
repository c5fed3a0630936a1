"""Folders of slices to a report and a Bundle."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gliascope import __version__
from gliascope.audit import Audit
from gliascope.audit.copies import THRESHOLD
from gliascope.audit.decisions import Decisions
from gliascope.commands.audit import audit, write_audit
from gliascope.commands.bundle import bundle
from gliascope.commands.checks import check_sources
from gliascope.commands.evaluate import evaluate
from gliascope.commands.train import calibrate_runs, check_training, run_folders, train
from gliascope.dataset.catalog import Catalog, check_catalog_replaceable, side_files
from gliascope.dataset.groups import GroupsFile
from gliascope.dataset.scan import scan
from gliascope.errors import RunError
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.run import Run
from gliascope.runtime.executors import Executor
from gliascope.runtime.files import atomic_folder, check_writable
from gliascope.runtime.folder_lock import folder_lock
from gliascope.runtime.progress import note
from gliascope.splits.protocols import VALIDATION_SHARE
from gliascope.splits.split import Split, split, write_splits
from gliascope.store.store import check_cache
from gliascope.store.store_splits import store_splits
from gliascope.synthetic import SOURCE, write_phantoms

DEMO_PER_CLASS = 200
RUN, AUDIT, CATALOG = "run", "audit", "catalog.parquet"


def run(
    sources: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    *,
    protocols: Sequence[str] | None = None,
    labels: Path | None = None,
    groups: GroupsFile | None = None,
    decisions: Path | None = None,
    seed: int = 0,
    validation: float = VALIDATION_SHARE,
    devices: int = 1,
    cache: bool = True,
    limit: int | None = None,
    repeats: int = 1,
    executor: Executor | None = None,
    patient_folders: bool = True,
) -> list[Run]:
    """Scan, audit, split, store, train, calibrate, evaluate and bundle into `folder`.

    After an interruption the same call goes on: files, slices, activations and epochs that are done are
    found. The bundle is of the first protocol's (first) run.

    Parameters
    ----------
    sources, labels, groups, patient_folders
        As in `scan`.
    folder : Path
        Where everything goes; not inside a source.
    recipe : Recipe
        What is trained.
    protocols, seed, validation, repeats
        As in `split`.
    decisions : Path, optional
        The audit's decisions.csv, as the user edited it.
    devices, cache
        As in `train`.
    limit : int, optional
        As in `Catalog.sample`, for a trial.
    executor : Executor, optional
        Who reads files and trains, as in `scan` and `train`.

    Returns
    -------
    list[Run]
        As `train`.

    Raises
    ------
    GliascopeError
        For whatever the steps cannot do, as far as can be told before the first slice is read.
    BusyError
        Where another process is in `folder`.
    """
    from gliascope.models.backbones import complete_recipe

    _check_place(sources, folder)
    decided = Decisions.load(decisions) if decisions else None
    classes = check_sources(sources, protocols, labels, groups, decided)
    recipe = complete_recipe(recipe)
    _check_recipe(recipe, classes, folder, devices)
    with folder_lock(folder) as kept, folder_lock(folder / AUDIT):
        catalog = scan(
            sources,
            labels=labels,
            groups=groups,
            resume_folder=kept,
            executor=executor,
            patient_folders=patient_folders,
        )
        if limit is not None:
            catalog = catalog.sample_slices(limit)
        found = _audited(catalog, kept)
        splits = split(
            catalog,
            protocols,
            seed=seed,
            audit=found,
            decisions=decided,
            validation_share=validation,
            repeats=repeats,
        )
        own = [one.for_task(recipe.task) for one in splits]
        _refuse_others(recipe, own, folder / RUN)
        check_training(recipe, own, folder / RUN, devices)
        _write(catalog, found, splits, folder)
        images, own = store_splits(catalog.frame, own, recipe.preprocessing, executor)
        runs = train(recipe, own, images, folder / RUN, devices=devices, cache=cache, executor=executor)
        calibrate_runs(runs, images, own, executor=executor)
        evaluate(runs, catalog, own, images, folder=folder, audit=found)
        bundle(runs[0], folder / "report.json", folder / "bundle")
    return runs


def _check_place(sources: Sequence[Path], folder: Path) -> None:
    """Raise RunError where several processes would do the same, or results would be taken for slices."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise RunError(
            "torchrun would do all of `run` in every process; give it `gliascope train`, or use --devices"
        )
    for source in sources:
        if isinstance(source, Path) and folder.resolve().is_relative_to(source.resolve()):
            raise RunError(
                f"{folder}: lies in {source}, so results would be taken for slices; choose another"
            )


def _check_recipe(recipe: Recipe, classes: int, folder: Path, devices: int) -> None:
    """Raise for a folder or cache that cannot be written, another recipe's run, a recipe that cannot train.

    classes: how many the folders of slices name.
    """
    from gliascope.training.checks import check_trainable

    check_cache()
    check_writable(folder)
    check_catalog_replaceable(folder / CATALOG)
    if (folder / RUN / "run.json").exists():
        there = Run.load(folder / RUN)
        there.check_inputs(recipe, there.record.split)
    check_trainable(recipe, 2 if recipe.task == "binary" else max(2, classes), devices)


def _refuse_others(recipe: Recipe, splits: Sequence[Split], folder: Path) -> None:
    """Raise RunError for a run that is in the way, before anything is written."""
    for place, first in run_folders(splits, folder).items():
        if (place / "run.json").exists():
            Run.load(place).check_inputs(recipe, first.training_hash)


def _write(catalog: Catalog, found: Audit, splits: Sequence[Split], folder: Path) -> None:
    """Write what came of the slices so far, for people and for the other commands."""
    catalog.write(folder / CATALOG)
    write_audit(found, catalog, folder / AUDIT)
    write_splits(splits, folder / "split.parquet")
    if catalog.excluded.height:
        note(f"{catalog.excluded.height} files set aside, see {side_files(folder / CATALOG)[1]}")


def _audited(catalog: Catalog, kept: Path) -> Audit:
    """Audit a catalogue, or find what an interrupted call has found in it."""
    settings: dict[str, Any] = {"threshold": THRESHOLD, "check_labels": False}
    # Thumbnails follow from the pixels' hashes, and from the version, like all that is found in them.
    facts = json.dumps([__version__, settings]) + catalog.frame.write_csv()
    place = kept / f"audit-{hashlib.blake2b(facts.encode(), digest_size=10).hexdigest()}"
    if not place.exists():
        with atomic_folder(place) as temporary:
            audit(catalog, **settings).write(temporary)
    return Audit.load(place)


def demo(folder: Path) -> None:
    """Run `quick` on phantoms made for the purpose."""
    phantoms = folder / "phantoms"
    if not phantoms.exists():
        write_phantoms(phantoms, DEMO_PER_CLASS)
    run([phantoms / SOURCE], folder, load_recipe("quick"), groups=GroupsFile(phantoms / "groups.csv"))
