"""Run all steps: from folders of slices to a report and a bundle."""

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
    """Scan, audit, split, store, train, calibrate, evaluate and bundle into one folder.

    After an interruption, the same call continues from the files, slices, activations and epochs that are
    done. The bundle holds the first run of the first protocol.

    Parameters
    ----------
    sources, labels, groups, patient_folders
        As in `scan`.
    folder
        Where everything is written; not inside a source.
    recipe
        The recipe that is trained.
    protocols, seed, validation, repeats
        As in `split`.
    decisions
        The audit's decisions.csv, as the user edited it.
    devices, cache
        As in `train`.
    limit
        As in `Catalog.sample_slices`, for a trial.
    executor
        The executor that reads files and trains, as in `scan` and `train`.

    Returns
    -------
    list of Run
        The finished runs, as `train` returns them.

    Raises
    ------
    GliascopeError
        If a step cannot be done. Whatever can be checked by names and settings alone is checked before the
        first slice is read.
    BusyError
        If another process works in `folder`.
    """
    from gliascope.models.backbones import complete_recipe

    _check_folder(sources, folder)
    decided = Decisions.load(decisions) if decisions else None
    classes = check_sources(sources, protocols, labels_file=labels, groups=groups, decisions=decided)
    recipe = complete_recipe(recipe)
    _check_recipe(recipe, classes, folder, devices)
    with folder_lock(folder) as resume_folder, folder_lock(folder / AUDIT):
        catalog = scan(
            sources,
            labels=labels,
            groups=groups,
            resume_folder=resume_folder,
            executor=executor,
            patient_folders=patient_folders,
        )
        if limit is not None:
            catalog = catalog.sample_slices(limit)
        audited = _audit(catalog, resume_folder)
        splits = split(
            catalog,
            protocols,
            seed=seed,
            audit=audited,
            decisions=decided,
            validation_share=validation,
            repeats=repeats,
        )
        own = [one.for_task(recipe.task) for one in splits]
        _check_existing_runs(recipe, own, folder / RUN)
        check_training(recipe, own, folder / RUN, devices)
        _write(catalog, audited, splits, folder)
        images, own = store_splits(catalog.frame, own, recipe.preprocessing, executor)
        runs = train(recipe, own, images, folder / RUN, devices=devices, cache=cache, executor=executor)
        calibrate_runs(runs, images, own, executor=executor)
        evaluate(runs, catalog, own, images, folder=folder, audit=audited)
        bundle(runs[0], folder / "report.json", folder / "bundle")
    return runs


def _check_folder(sources: Sequence[Path], folder: Path) -> None:
    """Raise RunError under torchrun, or if the folder lies inside a source."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise RunError(
            "torchrun would do all of `run` in every process; give it `gliascope train`, or use --devices"
        )
    for source in sources:
        if isinstance(source, Path) and folder.resolve().is_relative_to(source.resolve()):
            raise RunError(
                f"{folder}: lies in {source}, so results would be taken for slices; choose another folder"
            )


def _check_recipe(recipe: Recipe, classes: int, folder: Path, devices: int) -> None:
    """Check before the first slice is read that a recipe can be trained into a folder.

    Raises a GliascopeError if folder or cache cannot be written, the folder holds a run of another recipe, or
    the recipe cannot be trained. `classes` is the number of classes that the source folders name.
    """
    from gliascope.training.checks import check_trainable

    check_cache()
    check_writable(folder)
    check_catalog_replaceable(folder / CATALOG)
    if (folder / RUN / "run.json").exists():
        existing = Run.load(folder / RUN)
        existing.check_inputs(recipe, existing.record.split)
    check_trainable(recipe, 2 if recipe.task == "binary" else max(2, classes), devices)


def _check_existing_runs(recipe: Recipe, splits: Sequence[Split], folder: Path) -> None:
    """Raise RunError before anything is written if a folder holds a run of another recipe or split."""
    for run_folder, first in run_folders(splits, folder).items():
        if (run_folder / "run.json").exists():
            Run.load(run_folder).check_inputs(recipe, first.training_hash)


def _write(catalog: Catalog, audited: Audit, splits: Sequence[Split], folder: Path) -> None:
    """Write catalogue, audit and splits, for people and for the other commands."""
    catalog.write(folder / CATALOG)
    write_audit(audited, catalog, folder / AUDIT)
    write_splits(splits, folder / "split.parquet")
    if catalog.excluded.height:
        note(f"{catalog.excluded.height} files excluded, see {side_files(folder / CATALOG)[1]}")


def _audit(catalog: Catalog, resume_folder: Path) -> Audit:
    """Audit a catalogue, or load the audit that an interrupted call finished."""
    settings: dict[str, Any] = {"threshold": THRESHOLD, "check_labels": False}
    # The catalogue without its thumbnails is enough: these follow from the pixel hashes and the version.
    facts = json.dumps([__version__, settings]) + catalog.frame.write_csv()
    folder = resume_folder / f"audit-{hashlib.blake2b(facts.encode(), digest_size=10).hexdigest()}"
    if not folder.exists():
        with atomic_folder(folder) as temporary:
            audit(catalog, **settings).write(temporary)
    return Audit.load(folder)


def demo(folder: Path) -> None:
    """Make synthetic slices and run the recipe `quick` on them."""
    phantoms = folder / "phantoms"
    if not phantoms.exists():
        write_phantoms(phantoms, DEMO_PER_CLASS)
    run([phantoms / SOURCE], folder, load_recipe("quick"), groups=GroupsFile(phantoms / "groups.csv"))
