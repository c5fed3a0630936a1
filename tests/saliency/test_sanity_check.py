from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import classifier_of
from torch import nn

from gliascope.models.classifier import Classifier
from gliascope.models.heads import create_head
from gliascope.recipes import Head
from gliascope.saliency.sanity_check import CASCADE_STEPS, randomisation_cascade, rank_correlations


def small() -> Classifier:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width in (3, 8, 8, 8):
        layers += [nn.Conv2d(width, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    for layer in layers[1::3]:
        layer.running_var.uniform_(0.5, 2)
        layer.running_mean.normal_()
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return Classifier(nn.Sequential(*layers), create_head(Head(), 8, 3), 16).eval()


def changed(first: Classifier, second: Classifier) -> set[str]:
    other = second.state_dict()
    return {name for name, value in first.state_dict().items() if not torch.equal(value, other[name])}


def test_weights_become_random_from_the_output_down() -> None:
    whole = small()
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    names, seen = [], []
    for name, one in randomisation_cascade(whole):
        names.append(name)
        seen.append(changed(whole, one))
    assert names == ["head", "head + 25%", "head + 50%", "head + 75%", "all"]
    assert "head.linear.weight" in seen[0] and not any(name.startswith("backbone") for name in seen[0])
    assert all(first < second for first, second in pairwise(seen))
    assert not any(name.startswith("backbone.0.") for name in seen[-2])
    # By chance, the three biases of the head may keep their order.
    assert seen[-1] | {"head.linear.bias"} == {name for name in before if "num_batches" not in name}
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())


def test_random_weights_are_the_old_ones_in_another_order() -> None:
    whole = small()
    *_, (_, last) = randomisation_cascade(whole)
    for (name, value), other in zip(whole.state_dict().items(), last.state_dict().values(), strict=True):
        assert torch.equal(value.flatten().sort()[0], other.flatten().sort()[0]), name
    # What a batch norm knows of a channel stays together.
    for first, second in zip(whole.backbone[1::3], last.backbone[1::3], strict=True):
        pairs = [
            {tuple(row) for row in torch.stack([one.weight, one.running_mean, one.running_var], 1).tolist()}
            for one in (first, second)
        ]
        assert pairs[0] == pairs[1]


def test_a_seed_gives_the_same_weights_and_another_seed_others() -> None:
    ends = []
    for seed in (0, 0, 1):
        *_, (_, last) = randomisation_cascade(small(), seed)
        ends.append(last)
    assert not changed(ends[0], ends[1])
    assert changed(ends[0], ends[2])


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet50.tv_in1k", "convnext_atto.d2_in1k"])
def test_every_layer_of_a_real_network_is_reached(name: str) -> None:
    whole = classifier_of(name)
    *_, (_, last) = randomisation_cascade(whole)
    same = {
        key for key, value in whole.state_dict().items()
        if value.numel() <= 4 or torch.equal(value, value.flatten()[:1].expand_as(value))
    }  # fmt: skip
    assert changed(whole, last) | same == set(whole.state_dict())
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        maps = last.head.activation_maps(last.backbone(images))
    assert torch.isfinite(maps).all() and (maps.flatten(2).std(2) > 0).all()


def test_there_are_as_many_steps_as_said() -> None:
    assert len(list(randomisation_cascade(small()))) == CASCADE_STEPS + 1


def test_rank_correlation_sees_order_alone() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)
    others = np.stack([np.exp(maps[0]), -maps[1], np.ones((5, 7), dtype=np.float32)])
    assert rank_correlations(maps, others).tolist() == pytest.approx([1, -1, 0])
