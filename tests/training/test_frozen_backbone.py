import pytest
import torch
from torch import nn

from gliascope.training.frozen_backbone import MIN_IMAGES_TO_EXPORT, FrozenBackbone

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)).eval()


def test_many_images_run_on_onnx_runtime_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(5, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    expected = FrozenBackbone(network(), CPU, MIN_IMAGES_TO_EXPORT - 1)(images)
    fast = FrozenBackbone(network(), CPU, MIN_IMAGES_TO_EXPORT)
    assert torch.allclose(fast(images[:1]), expected[:1], atol=1e-5)
    monkeypatch.setattr(fast, "network", lambda _: pytest.fail("torch was used"))
    made = fast(images)
    assert torch.allclose(made, expected, atol=1e-5)
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_pooled_activations_stay_vectors() -> None:
    pooled = nn.Sequential(network(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert FrozenBackbone(pooled, CPU, MIN_IMAGES_TO_EXPORT)(torch.randn(3, 3, 16, 16)).shape == (3, 4)


def test_bf16_is_what_a_recipe_gets_on_a_cpu_as_well() -> None:
    images = torch.randn(5, 3, 16, 16)
    made = FrozenBackbone(network(), CPU, MIN_IMAGES_TO_EXPORT, "bf16")(images)
    assert made.dtype == torch.bfloat16
    assert torch.allclose(
        made.float(), FrozenBackbone(network(), CPU, MIN_IMAGES_TO_EXPORT)(images), rtol=0.05, atol=0.05
    )
