"""Recipe + Split + Store in, Run out."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gliascope import __version__
from gliascope.export.onnx import export
from gliascope.models.classifier import build_classifier
from gliascope.models.weights import RANDOM
from gliascope.recipes import Recipe
from gliascope.recipes.run import Run, RunRecord, RunResults
from gliascope.splits.split import SUBSETS, Split
from gliascope.splits.validation import exclude_calibrating
from gliascope.store.store import Store
from gliascope.training.checkpoints import PREVIOUS, load_weights
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
    devices: int = 1,
    cache: bool = True,
) -> Run:
    """Train `recipe` on the training part, choose the epoch as the recipe says, export the model.

    Where validation slices choose anything, those that calibrate the model are not among them.
    A run in `folder` goes on where it stopped, and a finished one is returned as it is. On several `devices`
    each takes its share of every batch; under `torchrun` every process calls this. Raises RunError where
    `folder` holds a run of another recipe or split, DivergedError for a loss that is not finite.
    """
    began = time.perf_counter()
    fabric = create_fabric(devices)
    run = _open(Run(folder, recipe, _record(recipe, split, store, fabric)))
    if run.model.exists():
        return run
    seen = Split(exclude_calibrating(split.frame, recipe.chooses))
    train_part, val, test = (Subset.from_split(seen, store, name) for name in SUBSETS)
    data = TrainingData(recipe, store, len(split.classes), train_part, val, test, cache)
    # As one callable: Fabric looks into arguments, and trips over frozen dataclasses.
    fabric.launch(partial(_fit, run=run, data=data))
    if not fabric.is_global_zero:
        return run
    classifier = build_classifier(recipe, len(split.classes))
    load_weights(folder / "chosen.safetensors", classifier)
    results = RunResults(
        chosen=chosen_epoch(load_history(folder), run.recipe.keep),
        seconds=round(time.perf_counter() - began, 1),
        parameters=sum(p.numel() for p in classifier.parameters()),
    )
    run = replace(run, record=run.record.model_copy(update={"results": results}))
    licences = {"weights": run.record.weights_licence or "unknown", "gliascope": "Apache-2.0"}
    bundle = export(classifier, recipe, split.classes, licences)
    run.save()
    (folder / PREVIOUS).unlink(missing_ok=True)
    bundle.write(run.model)
    return run


def _fit(fabric: "Fabric", run: Run, data: TrainingData) -> None:
    """What every process does."""
    set_threads(fabric)
    set_determinism(run.recipe.deterministic)
    if fabric.is_global_zero:
        run.save()
    classifier = build_classifier(run.recipe, data.classes)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        classifier = convert_sync_batchnorm(classifier)  # type: ignore[no-untyped-call]
    fit(fabric, classifier, data, run.folder)


def _open(new: Run) -> Run:
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
        split=split.training,
        store=store.key,
        slices=dict(split.frame.group_by("part").len().rows()),
        data=split.fingerprints,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        git=git_state(),
        weights_licence=_licence(recipe),
        environment={**describe_environment(fabric.device), "processes": fabric.world_size},
    )


def _licence(recipe: Recipe) -> str | None:
    """Licence of the pretrained weights; None for a file of the user's, whose licence only the user knows."""
    import timm

    if recipe.weights == RANDOM:
        return "none: trained from scratch"
    if recipe.weights or not timm.is_model(recipe.backbone):
        return None
    licence: str | None = timm.get_pretrained_cfg_value(recipe.backbone, "license")
    return licence
