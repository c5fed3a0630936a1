"""Train a recipe on a split's slices from a store, and export the result: one finished run in one folder."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gliascope import __version__
from gliascope.export.onnx import export_bundle
from gliascope.models.classifier import build_classifier
from gliascope.models.weight_files import CHOSEN, load_weights
from gliascope.models.weights import RANDOM
from gliascope.recipes import Recipe
from gliascope.recipes.run import Run, RunRecord, RunResults
from gliascope.splits.split import SUBSETS, Split
from gliascope.splits.validation import exclude_calibrating
from gliascope.store.store import Store
from gliascope.training.checkpoints import PREVIOUS
from gliascope.training.data import Subset, TrainingData
from gliascope.training.distributed import create_fabric, set_threads
from gliascope.training.environment import describe_environment, git_state, set_determinism
from gliascope.training.history import chosen_epoch
from gliascope.training.loop import fit, load_history

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def train(
    recipe: Recipe,
    split: Split,
    store: Store,
    folder: Path,
    *,
    devices: int = 1,
    cache: bool = True,
) -> Run:
    """Train a recipe on the training subset, choose an epoch as the recipe says, and export the model.

    An interrupted run in `folder` is continued, and a finished one is returned as it is. Validation slices
    that will calibrate the model take no part in choosing the epoch.

    Parameters
    ----------
    recipe
        What to train, and how.
    split
        Which slices train, and which validate.
    store
        The preprocessed slices, made with the recipe's preprocessing.
    folder
        The folder of the run.
    devices
        Number of GPUs or, on a machine without any, of CPU processes; each takes its share of every batch.
        Under `torchrun`, which has started the processes already, each of them calls this function.
    cache
        Whether activations of frozen layers are kept on disk, for later epochs and runs.

    Returns
    -------
    Run
        The finished run; its model is at `Run.model`.

    Raises
    ------
    RunError
        Where `folder` holds a run of another recipe or split, there are fewer GPUs than `devices`, or the
        exported model computes something else than the trained network.
    DivergedError
        For a loss that is not finite.
    """
    began = time.perf_counter()
    fabric = create_fabric(devices)
    run = _open(Run(folder, recipe, _record(recipe, split, store, fabric)))
    if run.model.exists():
        return run
    usable = Split(exclude_calibrating(split.frame, recipe.selects_on_validation))
    subsets = {name: Subset.from_split(usable, store, name) for name in SUBSETS}
    data = TrainingData(recipe, store, len(split.classes), **subsets, cache=cache)
    # One callable without arguments: Fabric searches arguments for tensors, and fails on frozen dataclasses.
    fabric.launch(partial(_fit, run=run, data=data))
    if not fabric.is_global_zero:
        return run
    classifier = build_classifier(recipe, len(split.classes))
    load_weights(folder / CHOSEN, classifier)
    results = RunResults(
        chosen_row=chosen_epoch(load_history(folder), run.recipe.keep),
        seconds=round(time.perf_counter() - began, 1),
        parameters=sum(p.numel() for p in classifier.parameters()),
    )
    run = replace(run, record=run.record.model_copy(update={"results": results}))
    licences = {"weights": run.record.weights_licence or "unknown", "gliascope": "Apache-2.0"}
    bundle = export_bundle(classifier, recipe, split.classes, licences)
    run.save()
    (folder / PREVIOUS).unlink(missing_ok=True)
    bundle.write(run.model)
    return run


def _fit(fabric: "Fabric", run: Run, data: TrainingData) -> None:
    """Train in one process: `train` starts this function in each."""
    set_threads(fabric)
    set_determinism(run.recipe.deterministic)
    if fabric.is_global_zero:
        run.save()
    classifier = build_classifier(run.recipe, data.classes)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        classifier = convert_sync_batchnorm(classifier)  # type: ignore[no-untyped-call]
    fit(fabric, classifier, data, folder=run.folder)


def _open(new: Run) -> Run:
    """Load the run that is in the folder, if it is of the same recipe and split; else return `new`."""
    if not (new.folder / "run.json").exists():
        return new
    old = Run.load(new.folder)
    old.check_inputs(new.recipe, new.record.split)
    return old


def _record(recipe: Recipe, split: Split, store: Store, fabric: "Fabric") -> RunRecord:
    return RunRecord(
        version=__version__,
        classes=split.classes,
        protocol=split.protocol,
        split_seed=split.seed,
        split=split.training_hash,
        store=store.key,
        slices=dict(split.frame.group_by("subset").len().rows()),
        data=split.subset_hashes,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        git=git_state(),
        weights_licence=_licence(recipe),
        environment={**describe_environment(fabric.device), "processes": fabric.world_size},
    )


def _licence(recipe: Recipe) -> str | None:
    """Licence of the pretrained weights; None for weights from a file, whose licence only the user knows."""
    import timm

    if recipe.weights == RANDOM:
        return "none: trained from scratch"
    if recipe.weights or not timm.is_model(recipe.backbone):
        return None
    licence: str | None = timm.get_pretrained_cfg_value(recipe.backbone, "license")
    return licence
