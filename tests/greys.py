"""Runs whose network only means grey levels: no training, no export of theirs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from outs import make_bundle
from torch import nn

from gliascope.inference.bundle import Bundle
from gliascope.models.backbones import OWN_BACKBONES, _Own
from gliascope.models.classifier import Classifier, build_classifier
from gliascope.models.weight_files import save_weights
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.run import Run, RunRecord, RunResults

GREYS = ("backbone=greys", "weights=random", "preprocessing.mean=[0,0,0]", "preprocessing.std=[1,1,1]", "tta.views=[{}]")  # fmt: skip
"""Overrides of `quick`."""


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recipes name the backbone: one channel, the mean of the colours in grey levels, place by place."""

    def create() -> nn.Module:
        network = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(network.weight, 255 / 3)
        return network

    monkeypatch.setitem(OWN_BACKBONES, "greys", _Own(create, (0, 0, 0), (1, 1, 1), 16))


def grey_classifier(recipe: Recipe, slope: float, classes: int) -> Classifier:
    """The network of a recipe with this backbone: its logits are as `make_run` says."""
    classifier = build_classifier(recipe, classes).eval()
    with torch.no_grad():
        classifier.head.linear.weight.copy_(slope * torch.arange(classes)[:, None])
        classifier.head.linear.bias.zero_()
    return classifier


def make_run(folder: Path, slope: float, classes: tuple[str, ...], *overrides: str, **facts: Any) -> Run:
    """A finished run with weights, and a model that is `outs.make_bundle`'s where it is grey, 16 to a side.

    The network's logits are `slope` times the number of the class times the mean grey level.
    """
    recipe = load_recipe("quick", [*GREYS, "preprocessing.size=16", *overrides])
    values: dict[str, Any] = {
        "version": "1", "classes": classes, "protocol": "official", "split_seed": 0, "split": "", "store": "s",
        "slices": {}, "weights_licence": "Apache-2.0", "environment": {"device": "cpu", "cores": 2},
        "results": RunResults(chosen_row=0, seconds=10.0, parameters=5),
    }  # fmt: skip
    run = Run(folder, recipe, RunRecord(**values | facts))
    run.save()
    save_weights(folder / "chosen.safetensors", grey_classifier(recipe, slope, len(classes)))
    model = make_bundle("quick", classes, slope, recipe.preprocessing)
    own = {"versions": {"gliascope": "1"}, "licences": {"weights": "Apache-2.0"}, "tta": {"views": [{}]}}
    Bundle(model.info.model_copy(update=own), model.model).write(run.model)
    return run
