import pytest
import timm
import torch
from torch import nn

from gliascope.models.backbones import create_backbone
from gliascope.models.residual import DEPTHS, ResidualNetwork, multiply_adds


@pytest.mark.parametrize("depth", DEPTHS)
def test_multiply_adds_are_those_of_the_paper(depth: int) -> None:
    """Table 1 gives one decimal, rounded (11.3 of 11.28) or cut (3.8 of 3.86)."""
    assert multiply_adds(depth) == pytest.approx(DEPTHS[depth].flops, abs=0.1e9)


def test_multiply_adds_of_convolutions_grow_with_the_area() -> None:
    assert multiply_adds(18, 448, classes=0) == 4 * multiply_adds(18, 224, classes=0)


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_has_as_many_weighted_layers_as_its_name_says(depth: int) -> None:
    with torch.device("meta"):
        network = ResidualNetwork(depth)
    beside = sum(name.endswith("downsample.0") for name, _ in network.named_modules())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    assert convolutions - beside + 1 == depth  # and the dense layer after pooling


@pytest.mark.parametrize(("depth", "twin"), [(18, "resnet18"), (50, "resnet50_keras")])
def test_the_same_weights_give_the_same_map_as_in_timm(depth: int, twin: str) -> None:
    """An independent implementation. Its bottleneck has the stride elsewhere, but for Keras' variant."""
    torch.manual_seed(0)
    other = (
        create_backbone(twin)
        if twin.endswith("keras")
        else timm.create_model(twin, num_classes=0, global_pool="")
    )
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):  # as drawn, each would be the identity
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    network = ResidualNetwork(depth)
    network.load_state_dict(other.state_dict())
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps = network.eval()(images)
        assert maps.shape == (2, network.num_features, 2, 3)
        assert torch.allclose(maps, other.eval()(images), rtol=1e-4, atol=1e-5)


def test_convolutions_are_drawn_with_the_variance_that_keeps_signals_in_range() -> None:
    """He et al. 2015, equation 10: sd = sqrt(2 / (inputs × height × width))."""
    torch.manual_seed(0)
    for module in ResidualNetwork(18).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 10_000:
            expected = (2 / (module.in_channels * module.kernel_size[0] * module.kernel_size[1])) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
