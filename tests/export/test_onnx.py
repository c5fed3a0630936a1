import math

import numpy as np
import pytest
import torch
from tiny import TINY
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.export import onnx as module
from gliascope.export.onnx import export_bundle
from gliascope.export.tta import DeployedNetwork
from gliascope.inference.engine import Engine
from gliascope.models.classifier import Classifier, Normalise
from gliascope.models.heads import ClassifierHead, create_head
from gliascope.recipes import Head, load_recipe

RECIPE = load_recipe("quick", [*TINY, "tta.views=[{}]"])


class _Flat(ClassifierHead):
    """A head without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 2)

    def features(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        return self.linear(features)


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(nn.Conv2d(3, 8, 3, stride=4), _Flat())


def test_a_head_without_maps_declares_that_it_has_none(classifier: Classifier) -> None:
    bundle = export_bundle(classifier, RECIPE, ("a", "b"), {})
    assert not bundle.info.activation_maps
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    outputs = Engine(bundle)(pixels)
    assert outputs.maps is None
    with torch.no_grad():
        expected = DeployedNetwork(classifier.eval(), RECIPE)(torch.from_numpy(pixels))[0].numpy()
    assert np.abs(outputs.logits - expected).max() < 1e-4


@pytest.mark.parametrize("damage", [1, math.nan])
def test_a_model_that_differs_after_export_is_refused(
    damage: float, classifier: Classifier, monkeypatch
) -> None:
    whole = module.to_onnx

    def damaged(deployed: DeployedNetwork, *rest) -> bytes:
        model = whole(deployed, *rest)
        with torch.no_grad():
            deployed.classifier.head.linear.bias += damage
        return model

    monkeypatch.setattr(module, "to_onnx", damaged)
    with pytest.raises(RunError, match="logits differ from the trained one's"):
        export_bundle(classifier, RECIPE, ("a", "b"), {})


def test_rounding_that_a_network_magnifies_is_no_damage(classifier: Classifier, monkeypatch) -> None:
    """Logits that are small differences of large numbers: refused if only the usual tolerance counted."""
    with torch.no_grad():
        classifier.backbone.bias += 1e5
        classifier.head.linear.weight.copy_(torch.rand(2, 8))
        classifier.head.linear.bias.copy_(-1e5 * classifier.head.linear.weight.sum(1))
    export_bundle(classifier, RECIPE, ("a", "b"), {})
    monkeypatch.setattr(module, "ROUNDING_FACTOR", 0)
    with pytest.raises(RunError, match=r"logits differ.*where rounding explains"):
        export_bundle(classifier, RECIPE, ("a", "b"), {})


@pytest.mark.parametrize("head", [{}, {"pooling": "max"}, {"pooling": "dual", "batch_norm": True, "hidden": (6, 5)},
                                  {"hidden": (6,), "activation": "swish", "sigmoid": True}])  # fmt: skip
def test_the_graph_gives_the_maps_of_all_classes(head: dict) -> None:
    """Torch's own maps, averaged over the slice and its mirror image."""
    torch.manual_seed(0)
    recipe = load_recipe("quick", TINY)
    dropout = (0.0,) * (len(head.get("hidden", ())) + 1)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=8), nn.Tanh())
    classes = ("a", "b") if "sigmoid" in head else ("a", "b", "c")
    classifier = Classifier(backbone, create_head(Head(dropout=dropout, **head), 8, len(classes)))
    bundle = export_bundle(classifier, recipe, classes, {})
    assert bundle.info.activation_maps
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    maps = Engine(bundle)(pixels).maps
    with torch.no_grad():
        images = Normalise(recipe.preprocessing)(torch.from_numpy(pixels))
        plain, mirrored = (
            classifier.head.activation_maps(classifier.backbone(view)) for view in (images, images.flip(-1))
        )
    expected = ((plain + mirrored.flip(-1)) / 2).numpy()
    assert maps is not None and maps.shape == (3, len(classes), 8, 8)
    assert np.abs(maps - expected).max() < 1e-5
