"""Recipe + Split + Store in, Run out."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import timm
import torch
from lightning.fabric import Fabric

from gliascope import __version__
from gliascope.data.split import Split
from gliascope.data.store import Store
from gliascope.errors import RunError
from gliascope.models.classifier import build_classifier
from gliascope.recipes import Recipe
from gliascope.recipes.run import Record, Results, Run
from gliascope.training.checkpoints import load_weights
from gliascope.training.environment import describe, set_determinism
from gliascope.training.export import export
from gliascope.training.loop import Part, best_epoch, fit


def train(recipe: Recipe, split: Split, store: Store, folder: Path, resume: bool = False) -> Run:
    """Train `recipe` on the training part, choose the epoch on the validation part, export the model.

    With `resume`, a run in `folder` goes on where it stopped, and a finished one is returned as it is.
    Raises RunError where `folder` holds another run, or one and `resume` is false.
    """
    began = time.perf_counter()
    set_determinism(recipe.deterministic)
    fabric = Fabric(accelerator="auto", devices=1)
    run = _open(Run(folder, recipe, _record(recipe, split, store, fabric.device)), resume)
    if run.model.exists():
        return run
    run.save()
    classifier = build_classifier(recipe, len(split.classes))
    parts = [_part(split, store, name) for name in ("train", "val")]
    history = fit(fabric, classifier, recipe, store, parts[0], parts[1], folder)
    results = Results(
        best=best_epoch(history),
        seconds=round(time.perf_counter() - began, 1),
        parameters=sum(p.numel() for p in classifier.parameters()),
    )
    run = replace(run, record=run.record.model_copy(update={"results": results}))
    load_weights(folder / "best.safetensors", classifier)
    licences = {"weights": run.record.weights_licence or "unknown", "gliascope": "Apache-2.0"}
    bundle = export(classifier, recipe, split.classes, licences)
    run.save()
    bundle.write(run.model)
    return run


def _open(new: Run, resume: bool) -> Run:
    if not (new.folder / "run.json").exists():
        return new
    if not resume:
        raise RunError(f"{new.folder}: holds a run; add --resume to go on with it, or choose another folder")
    old = Run.load(new.folder)
    old.check_inputs(new.recipe, new.record.split)
    return old


def _record(recipe: Recipe, split: Split, store: Store, device: torch.device) -> Record:
    return Record(
        version=__version__,
        classes=split.classes,
        protocol=split.protocol,
        split_seed=int(split.frame["seed"][0]),
        split=split.training,
        store=store.key,
        slices=dict(split.frame.group_by("part").len().rows()),
        weights_licence=_licence(recipe),
        environment=dict(describe(device)),
    )


def _part(split: Split, store: Store, name: str) -> Part:
    rows, labels = store.rows(split.part(name)["pixel_hash"]), split.class_numbers(name)
    # Not the catalogue's order, which follows that of the sources on the command line.
    order = np.lexsort((labels, rows))
    return Part(rows[order], labels[order])


def _licence(recipe: Recipe) -> str | None:
    """Licence of the pretrained weights; None for a file of the user's, whose licence only the user knows."""
    if recipe.weights or not timm.is_model(recipe.backbone):
        return None
    licence: str | None = timm.get_pretrained_cfg_value(recipe.backbone, "license")
    return licence
