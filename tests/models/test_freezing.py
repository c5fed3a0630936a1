import pytest
import torch
from networks import NETWORKS, classifier_of
from torch import nn
from torch.nn.functional import cross_entropy

from gliascope.errors import RecipeError
from gliascope.models.backbones import backbone_defaults, execution_order
from gliascope.models.classifier import Classifier
from gliascope.models.cut import cut_network
from gliascope.models.freezing import frozen_layers
from gliascope.models.heads import create_head
from gliascope.recipes import Head

IMAGES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def trained(classifier: Classifier, freeze: str | float | None) -> set[str]:
    """Names of the parameters that still get a gradient once everything frozen is."""
    for name in frozen_layers(classifier, freeze).modules:
        classifier.get_submodule(name).requires_grad_(False)
    cross_entropy(classifier(IMAGES), torch.tensor([0, 1])).backward()
    return {name for name, parameter in classifier.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("name", ["residual18", "resnet50_keras", *NETWORKS])
def test_contract_a_fraction_freezes_the_first_layers_and_cuts_before_the_rest(name: str) -> None:
    classifier = classifier_of(name)
    order: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, part=part: order.append(part))
        for part, module in classifier.backbone.named_modules(prefix="backbone")
        if isinstance(module, nn.Conv2d)
    ]
    classifier(IMAGES)
    for hook in hooks:
        hook.remove()
    fixed = frozen_layers(classifier, 0.7)
    # The convolutions among the frozen layers are the first ones that run.
    convolutions = [part for part in fixed.modules if part in order]
    assert convolutions == order[: len(convolutions)]
    assert 0 < len(convolutions) < len(order)
    # The cut is a true one, and lies within what is frozen.
    prefix, tail = cut_network(classifier, fixed.cut)
    with torch.no_grad():
        assert torch.equal(tail(prefix(IMAGES)), classifier(IMAGES))
    still = {id(p) for part in fixed.modules for p in classifier.get_submodule(part).parameters()}
    assert {id(p) for p in prefix.parameters()} <= still
    assert trained(classifier, 0.7) == {
        part for part, parameter in classifier.named_parameters() if id(parameter) not in still
    }


def _layers(number: int) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(3, 8, 3)]
    for _ in range(number // 2):
        parts += [nn.ReLU(), nn.Conv2d(8, 8, 3)]
    return nn.Sequential(*parts)


def chain() -> Classifier:
    """Five layers in a row: convolutions 0, 2, 4."""
    return Classifier(_layers(4), create_head(Head(), channels=8, class_count=2), input_size=96)


@pytest.mark.parametrize(
    ("fraction", "layers"), [(0.0, 0), (0.1, 0), (0.2, 1), (0.5, 2), (0.6, 3), (0.9, 4), (1.0, 5)]
)
def test_a_fraction_is_rounded_to_layers(fraction: float, layers: int) -> None:
    fixed = frozen_layers(chain(), fraction)
    names = [f"backbone.{number}" for number in range(layers)] + ["head.pool"] * (layers == 5)
    assert fixed.modules == tuple(names)
    # In a chain, every layer separates.
    assert fixed.cut == (names[-1] if names else None)


class _Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 8, 1)
        self.first = nn.Conv2d(8, 8, 1)
        self.second = nn.Conv2d(8, 8, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.before(images)
        return x + self.second(self.first(x))


def test_inside_a_block_layers_are_frozen_but_the_cut_is_before_it() -> None:
    classifier = Classifier(_Skip(), create_head(Head(), channels=8, class_count=2), input_size=96)
    fixed = frozen_layers(classifier, 0.67)
    assert fixed.modules == ("backbone.before", "backbone.first")
    assert fixed.cut == "backbone.before"
    assert trained(classifier, 0.67) == {
        *("backbone.second.weight", "backbone.second.bias"),
        *("head.linear.weight", "head.linear.bias"),
    }


def test_a_name_freezes_all_up_to_and_with_it() -> None:
    classifier = classifier_of("residual18")
    left = trained(classifier, "backbone.layer3.0")
    assert {name.rsplit(".", 3)[0] for name in left if "layer3" in name} == {"backbone.layer3"}
    assert all(name.startswith(("backbone.layer3.1", "backbone.layer4", "head")) for name in left)
    assert frozen_layers(classifier, "backbone.layer3.0").cut == "backbone.layer3.0"


def test_pooling_is_frozen_with_the_whole_backbone() -> None:
    """Cached, a pooled map takes a fiftieth of the room."""
    for freeze in ("backbone", "backbone.layer4", 1.0):
        classifier = classifier_of("residual18")
        assert frozen_layers(classifier, freeze).cut == "head.pool"
        assert trained(classifier, freeze) == {"head.linear.weight", "head.linear.bias"}
        prefix, tail = cut_network(classifier, "head.pool")
        with torch.no_grad():
            assert prefix(IMAGES).shape == (2, 512)
            assert torch.equal(tail(prefix(IMAGES)), classifier(IMAGES))


def test_keras_top_30_percent_of_efficientnetv2_s() -> None:
    """Keras 3: 170 convolutions, of which 119 are in the first 359 of 513 layers; 198 layers with weights."""
    classifier = classifier_of("tf_efficientnetv2_s.in1k")
    fixed = frozen_layers(classifier, "backbone.blocks.5.4")
    parts = [classifier.get_submodule(name) for name in fixed.modules]
    assert sum(isinstance(part, nn.Conv2d) for part in parts) == 119
    assert sum(any(True for _ in part.parameters()) for part in parts) == 198
    order = execution_order(classifier.backbone, IMAGES)
    assert (
        f"backbone.{order[order.index(backbone_defaults('tf_efficientnetv2_s').top30_layer) - 1]}"
        == fixed.modules[-1]
    )


def test_nothing_frozen() -> None:
    assert frozen_layers(chain(), None).modules == ()
    assert frozen_layers(chain(), None).cut is None


def test_a_backbone_that_cannot_be_cut_can_be_frozen_by_fraction() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.one(images)
            return self.two(x) if x.sum() >= 0 else self.two(-x)

    classifier = Classifier(Branching(), create_head(Head(), channels=8, class_count=2), input_size=96)
    assert frozen_layers(classifier, 0.5).modules == ("backbone.one",)
    assert frozen_layers(classifier, 0.5).cut is None


def test_bad_values_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"no part 'backbone\.layer9' to freeze; choose from .*backbone\.0"):
        frozen_layers(chain(), "backbone.layer9")
    with pytest.raises(RecipeError, match="expected a name, or a fraction between 0 and 1, but got 70"):
        frozen_layers(chain(), 70.0)
