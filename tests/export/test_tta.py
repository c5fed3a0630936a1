import numpy as np
import pytest
import torch
from tiny import TINY
from torch import nn

from gliascope.export.tta import DeployedNetwork, average_views
from gliascope.models.classifier import Classifier, Normalise
from gliascope.models.heads import create_head
from gliascope.recipes import Head, load_recipe


def deployed(*overrides: str) -> DeployedNetwork:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.Tanh())
    classifier = Classifier(backbone, create_head(Head(), 8, 3))
    return DeployedNetwork(classifier, load_recipe("quick", [*TINY, *overrides])).eval()


PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8))


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_the_views_are_averaged_as_the_recipe_says(of: str) -> None:
    network = deployed(f"tta.average={of}")
    images = Normalise(load_recipe("quick", TINY).preprocessing)(PIXELS)
    with torch.no_grad():
        logits, features, maps = network(PIXELS)
        apart = torch.stack([network.classifier(images), network.classifier(images.flip(-1))])
    if of == "logits":
        assert torch.allclose(logits, apart.mean(0), atol=1e-5)
    else:
        assert torch.allclose(logits.softmax(1), apart.softmax(2).mean(0), atol=1e-5)
    assert features.shape == (4, 8)
    assert maps.shape == (4, 3, 16, 16)


def test_maps_lie_on_the_slice_whatever_the_views() -> None:
    """A mirrored view's map is mirrored back; a turned one's is left out."""
    plain = deployed("tta.views=[{}]")
    both = deployed("tta.views=[{}, {flip: true}]")
    turned = deployed("tta.views=[{}, {rotate: 90}]")
    with torch.no_grad():
        expected = plain(PIXELS)[2]
        mirrored = plain(PIXELS.flip(-1))[2].flip(-1)
        assert torch.allclose(both(PIXELS)[2], (expected + mirrored) / 2, atol=1e-5)
        assert torch.allclose(turned(PIXELS)[2], expected, atol=1e-5)
        assert not torch.allclose(turned(PIXELS)[0], plain(PIXELS)[0], atol=1e-3)


def test_one_view_averages_to_itself() -> None:
    logits = torch.randn(1, 5, 4)
    assert torch.allclose(average_views(logits, "probabilities").softmax(1), logits[0].softmax(1), atol=1e-6)
    assert torch.equal(average_views(logits, "logits"), logits[0])


def test_what_all_views_rule_out_stays_finite() -> None:
    logits = torch.tensor([[[0.0, 500.0]], [[0.0, 400.0]]])
    assert torch.allclose(average_views(logits, "probabilities")[0, 0], torch.tensor(-400 - 0.6931))
