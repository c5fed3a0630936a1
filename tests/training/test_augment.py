import numpy as np
import torch
from torch import Tensor

from gliascope.recipes import Augmentation
from gliascope.training.augment import PARAMETERS, augment, draws

NAMES = np.array([f"{n:032x}" for n in range(500)])


def uniform(**columns: float) -> Tensor:
    """Neutral parameters (no flip, angle, shift, zoom or gain) but for the given ones."""
    order = ("flip", "angle", "down", "right", "zoom", "gain")
    return torch.tensor([[columns.get(name, 1.0 if name == "flip" else 0.5) for name in order]])


def image() -> Tensor:
    return torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def test_draws_are_uniform_and_keyed_by_seed_view_and_slice_alone() -> None:
    all_at_once = draws(NAMES, view=1, seed=0)
    one_by_one = np.concatenate([draws(NAMES[n : n + 1], view=1, seed=0) for n in reversed(range(500))])[::-1]
    assert np.array_equal(all_at_once, one_by_one)
    assert all_at_once.shape == (500, PARAMETERS)
    assert (all_at_once >= 0).all() and (all_at_once < 1).all()
    assert np.abs(all_at_once.mean(axis=0) - 0.5).max() < 0.05
    assert np.abs(np.corrcoef(all_at_once.T) - np.eye(PARAMETERS)).max() < 0.15
    for other in (draws(NAMES, view=2, seed=0), draws(NAMES, view=1, seed=1)):
        assert not np.array_equal(all_at_once, other)


def test_neutral_parameters_change_nothing() -> None:
    everything = Augmentation(flip=0.5, rotate=20, translate=0.1, scale=0.2, brightness=0.2)
    assert torch.allclose(augment(image(), everything, uniform()), image(), atol=1e-5)


def test_flip_is_left_right() -> None:
    assert torch.allclose(
        augment(image(), Augmentation(flip=0.5), uniform(flip=0.4)), image().flip(-1), atol=1e-5
    )


def test_a_quarter_turn_is_exact() -> None:
    turned = augment(image(), Augmentation(rotate=90), uniform(angle=1.0))
    assert torch.allclose(turned, torch.rot90(image(), 1, (2, 3)), atol=1e-4)


def test_shift_is_a_fraction_of_the_size_and_fills_black() -> None:
    shifted = augment(image(), Augmentation(translate=0.25), uniform(down=1.0))
    assert torch.allclose(shifted[..., :24], image()[..., 8:], atol=1e-5)
    assert (shifted[..., 24:] == 0).all()


def test_zoom_enlarges() -> None:
    dot = torch.zeros(1, 1, 32, 32)
    dot[..., 14:18, 14:18] = 1
    assert augment(dot, Augmentation(scale=0.5), uniform(zoom=1.0)).sum() > 1.5 * dot.sum()
    assert augment(dot, Augmentation(scale=0.5), uniform(zoom=0.0)).sum() < 0.5 * dot.sum()


def test_brightness_scales_and_stays_in_range() -> None:
    brighter = augment(image(), Augmentation(brightness=0.5), uniform(gain=1.0))
    assert torch.allclose(brighter, (image() * 1.5).clamp(0, 1), atol=1e-4)
