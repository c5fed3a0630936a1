import math

import pytest
import torch
from torch import Tensor

from gliascope.recipes.schema import Augmentation
from gliascope.training.intensities import (
    BIAS_TERMS,
    INTENSITY_CHANGES,
    bias_field,
    brightness,
    contrast,
    gamma,
    ghost,
    noise,
)


def picture(slices: int = 1, size: int = 32) -> Tensor:
    return torch.rand(slices, 1, size, size, generator=torch.Generator().manual_seed(0))


def grey(slices: int, size: int = 64) -> Tensor:
    return torch.full((slices, 1, size, size), 0.5)


def numbers(*values: float) -> Tensor:
    return torch.tensor([values])


def test_the_order_is_the_recipes() -> None:
    assert list(INTENSITY_CHANGES) == [
        name for name in Augmentation.model_fields if name in INTENSITY_CHANGES
    ]


def test_a_bias_field_is_the_exponential_of_a_cubic_polynomial() -> None:
    assert len(set(BIAS_TERMS)) == 9 and all(1 <= i + j <= 3 for i, j in BIAS_TERMS)
    place = (torch.arange(64) + 0.5) / 32 - 1
    term = BIAS_TERMS.index((1, 2))  # y x²
    drawn = torch.full((1, len(BIAS_TERMS)), 0.5)
    drawn[:, term] = 1
    expected = (0.4 * place[:, None] * place**2).exp() / 2
    assert torch.allclose(bias_field(grey(1), drawn, 0.4)[0, 0], expected, atol=1e-6)


def test_a_bias_field_is_smooth_and_of_mean_one() -> None:
    drawn = torch.rand(20, len(BIAS_TERMS), generator=torch.Generator().manual_seed(0))
    field = (bias_field(grey(20), drawn, 0.5) * 2).log()
    assert field.mean((1, 2, 3)).abs().max() < 1e-5 and field.abs().amax((1, 2, 3)).min() > 0.1
    assert max(field.diff(dim=2).abs().max(), field.diff(dim=3).abs().max()) < 0.25


def test_gamma_is_a_power() -> None:
    assert torch.allclose(gamma(picture(), numbers(1.0), 0.5), picture() ** math.exp(0.5), atol=1e-6)


def test_contrast_keeps_the_mean() -> None:
    images = 0.25 + picture() / 2
    flat = contrast(images, numbers(0.0), 0.5)
    assert torch.allclose(flat - images.mean(), (images - images.mean()) / 2, atol=1e-6)


def test_brightness_is_a_factor() -> None:
    assert torch.allclose(brightness(picture(), numbers(0.75), 0.5), picture() * 1.25)


@pytest.mark.parametrize(("axis", "number"), [(-2, 0.2), (-1, 0.7)])
def test_a_ghost_is_a_modulation_of_k_space(axis: int, number: float) -> None:
    lines = torch.arange(60)
    # Half of the strength of 0.8; 2 + 8 / 2 periods in 60 pixels are 10 pixels; phase 0.3 turns.
    modulation = 1 + 0.4 * torch.cos(2 * math.pi * (lines * 10 / 60 + 0.3))
    modulation = modulation if axis == -1 else modulation[:, None]
    expected = torch.fft.ifft(torch.fft.fft(picture(1, 60), dim=axis) * modulation, dim=axis).abs()
    seen = ghost(picture(1, 60), numbers(0.5, number, 0.5, 0.3), 0.8)
    assert torch.allclose(seen, expected, atol=1e-5)


def test_noise_is_normal_and_the_slices_own() -> None:
    drawn = torch.tensor([[0.75, seed / 4] for seed in range(4)])
    values = noise(grey(4, 96), drawn, 0.1) - 0.5
    assert values.mean().abs() < 2e-3
    assert torch.allclose(values.std((1, 2, 3)), torch.tensor(0.075), rtol=0.03)
    assert torch.corrcoef(values.flatten(1)).triu(1).abs().max() < 0.05
    assert torch.equal(noise(grey(1, 96), drawn[2:3], 0.1)[0] - 0.5, values[2])
