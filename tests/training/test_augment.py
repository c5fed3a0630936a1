import hashlib
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from gliascope.recipes.schema import Augmentation
from gliascope.training.augment import COLUMNS, NUMBERS, NUMBERS_PER_VIEW, augment, random_numbers

NAMES = np.array([f"{n:032x}" for n in range(500)])
EVERYTHING = Augmentation(
    flip=0.5,
    rotate=20,
    translate=0.1,
    scale=0.2,
    shear=0.1,
    crop=(0.5, 1.0),
    elastic=0.03,
    bias_field=0.5,
    gamma=0.3,
    contrast=0.2,
    brightness=0.2,
    ghost=0.3,
    noise=0.05,
)
NEUTRAL = dict.fromkeys(NUMBERS, 0.5) | {"flip": 1.0, "crop": 1.0, "elastic": 0.0, "ghost": 0.0, "noise": 0.0}


def uniform(**fields: float | tuple[float, ...]) -> Tensor:
    """Neutral numbers but for the given fields', of each its first ones."""
    numbers = torch.empty(1, NUMBERS_PER_VIEW)
    for name, columns in COLUMNS.items():
        numbers[:, columns] = NEUTRAL[name]
    for name, values in fields.items():
        for number, value in enumerate(values if isinstance(values, tuple) else (values,)):
            numbers[:, COLUMNS[name].start + number] = value
    return numbers


def drawn(slices: int) -> Tensor:
    return torch.from_numpy(random_numbers(NAMES[:slices], 1, 0))


def picture(slices: int = 1, size: int = 32) -> Tensor:
    return torch.rand(slices, 1, size, size, generator=torch.Generator().manual_seed(0))


def positions(augmentation: Augmentation, numbers: Tensor, size: int = 64) -> Tensor:
    """Where each pixel of the view comes from, (n, 2, size, size), across and down, in shares of the side.

    The pictures are ramps: only what lies half a pixel from their border is exact.
    """
    along = (torch.arange(size) + 0.5) / size
    ramps = torch.stack([along.expand(size, size), along[:, None].expand(size, size)])
    return augment(ramps.expand(len(numbers), -1, -1, -1), augmentation, numbers, size)


# The numbers


def test_draws_are_uniform_and_keyed_by_seed_view_and_slice_alone() -> None:
    all_at_once = random_numbers(NAMES, 1, seed=0)
    one_by_one = np.concatenate([random_numbers(NAMES[n : n + 1], 1, seed=0) for n in reversed(range(500))])[
        ::-1
    ]
    assert np.array_equal(all_at_once, one_by_one)
    assert all_at_once.shape == (500, NUMBERS_PER_VIEW) and all_at_once.dtype == np.float32
    assert (all_at_once >= 0).all() and (all_at_once < 1).all()
    assert np.abs(all_at_once.mean(axis=0) - 0.5).max() < 0.06
    assert np.abs(np.corrcoef(all_at_once.T) - np.eye(NUMBERS_PER_VIEW)).max() < 0.2
    for other in (random_numbers(NAMES, 2, seed=0), random_numbers(NAMES, 1, seed=1)):
        assert (all_at_once == other).mean() < 1e-3


def test_each_slice_may_have_its_own_view() -> None:
    views = np.arange(500) % 3
    for view in range(3):
        rows = np.flatnonzero(views == view)
        assert np.array_equal(random_numbers(NAMES, views, 7)[rows], random_numbers(NAMES[rows], view, 7))


def test_the_first_six_numbers_are_what_they_have_always_been() -> None:
    digests = b"".join(hashlib.blake2b(f"3:2:{name}".encode(), digest_size=24).digest() for name in NAMES)
    first = (np.frombuffer(digests, dtype="<u4").reshape(500, 6) >> 8).astype(np.float32) / np.float32(2**24)
    assert np.array_equal(random_numbers(NAMES, 2, 3)[:, :6], first)
    assert list(NUMBERS)[:5] == ["flip", "rotate", "translate", "scale", "brightness"]


def test_every_field_has_its_numbers() -> None:
    assert set(NUMBERS) == set(Augmentation.model_fields) == set(EVERYTHING.model_fields_set)


# The whole


def test_quick_keeps_its_bits() -> None:
    """Against the first version of this function, which `quick` was measured with."""

    def first_version(images: Tensor, augmentation: Augmentation, uniform: Tensor) -> Tensor:
        either_way = 2 * uniform - 1
        mirror = torch.where(uniform[:, 0] < augmentation.flip, -1.0, 1.0)
        angle = either_way[:, 1] * math.radians(augmentation.rotate)
        shift = either_way[:, 2:4] * 2 * augmentation.translate
        zoom = 1 + either_way[:, 4] * augmentation.scale
        cosine, sine = angle.cos() / zoom, angle.sin() / zoom
        top = torch.stack([mirror * cosine, -sine, shift[:, 0]], dim=1)
        bottom = torch.stack([mirror * sine, cosine, shift[:, 1]], dim=1)
        grid = affine_grid(torch.stack([top, bottom], dim=1), list(images.shape), align_corners=False)
        warped = grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        gain = 1 + either_way[:, 5] * augmentation.brightness
        return (warped * gain[:, None, None, None]).clamp(0, 1)

    five = Augmentation(flip=0.5, rotate=15, translate=0.06, scale=0.1, brightness=0.15)
    images, numbers = picture(16, 100), drawn(16)
    assert torch.equal(augment(images, five, numbers, 100), first_version(images, five, numbers))
    turned = Augmentation(rotate=40)
    assert torch.equal(augment(images, turned, numbers, 100), first_version(images, turned, numbers))


def test_what_is_off_does_nothing() -> None:
    assert torch.equal(augment(picture(8), Augmentation(), drawn(8), 32), picture(8))
    odd = augment(picture(8, 37), Augmentation(), drawn(8), 32)
    assert torch.equal(odd, picture(8, 37)[..., 2:34, 2:34])  # round(2.5) is 2, in torchvision too


def test_neutral_numbers_change_nothing() -> None:
    assert torch.allclose(augment(picture(), EVERYTHING, uniform(), 32), picture(), atol=1e-5)


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_every_field_changes_the_picture_on_its_own_and_stays_in_range(name: str) -> None:
    images = picture(40, 24)
    changed = augment(images, Augmentation(**{name: getattr(EVERYTHING, name)}), drawn(40), 24)
    assert changed.shape == images.shape and changed.dtype == torch.float32
    assert changed.min() >= 0 and changed.max() <= 1
    different = ((changed - images).abs().amax((1, 2, 3)) > 0.01).float().mean()
    assert 0.25 < different < 0.75 if name == "flip" else different > 0.8


@pytest.mark.parametrize("size", [48, 40])
def test_a_view_does_not_depend_on_its_batch(size: int) -> None:
    images, numbers = picture(9, 48), drawn(9)
    together = augment(images, EVERYTHING, numbers, size)
    backwards = augment(images.flip(0), EVERYTHING, numbers.flip(0), size).flip(0)
    alone = torch.cat([augment(images[n : n + 1], EVERYTHING, numbers[n : n + 1], size) for n in range(9)])
    assert together.shape == (9, 1, size, size)
    assert torch.allclose(together, backwards, atol=1e-6) and torch.allclose(together, alone, atol=1e-6)


def test_a_grey_slice_of_three_channels_stays_grey() -> None:
    changed = augment(picture(4).expand(-1, 3, -1, -1), EVERYTHING, drawn(4), 32)
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-6)
    assert torch.allclose(changed[:, :1], augment(picture(4), EVERYTHING, drawn(4), 32), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same() -> None:
    expected = augment(picture(8, 64), EVERYTHING, drawn(8), 56)
    changed = augment(picture(8, 64).cuda(), EVERYTHING, drawn(8).cuda(), 56).cpu()
    assert torch.allclose(changed, expected, atol=1e-3)


# The warp


def test_flip_is_left_right() -> None:
    flipped = augment(picture(), Augmentation(flip=0.5), uniform(flip=0.4), 32)
    assert torch.allclose(flipped, picture().flip(-1), atol=1e-5)


def test_a_quarter_turn_is_exact() -> None:
    turned = augment(picture(), Augmentation(rotate=90), uniform(rotate=1.0), 32)
    assert torch.allclose(turned, torch.rot90(picture(), 1, (2, 3)), atol=1e-4)


def test_shift_is_a_fraction_of_the_size_and_fills_black() -> None:
    shifted = augment(picture(), Augmentation(translate=0.25), uniform(translate=1.0), 32)
    assert torch.allclose(shifted[..., :24], picture()[..., 8:], atol=1e-5)
    assert (shifted[..., 24:] == 0).all()


def test_zoom_enlarges() -> None:
    dot = torch.zeros(1, 1, 32, 32)
    dot[..., 14:18, 14:18] = 1
    assert augment(dot, Augmentation(scale=0.5), uniform(scale=1.0), 32).sum() > 1.5 * dot.sum()
    assert augment(dot, Augmentation(scale=0.5), uniform(scale=0.0), 32).sum() < 0.5 * dot.sum()


def test_shear_is_a_tangent() -> None:
    across, down = positions(Augmentation(shear=0.2), uniform(shear=1.0))[0]
    assert torch.allclose(across[9:, 30] - across[8:-1, 30], torch.tensor(0.2 / 64), atol=1e-5)
    assert torch.allclose(down[1:-1, 30], (torch.arange(1, 63) + 0.5) / 64, atol=1e-5)


def test_a_smaller_view_is_the_middle_of_the_warped_picture() -> None:
    turned = augment(picture(1, 40), Augmentation(rotate=90), uniform(rotate=1.0), 32)
    assert torch.allclose(turned, torch.rot90(picture(1, 40), 1, (2, 3))[..., 4:36, 4:36], atol=1e-4)
    odd = augment(picture(1, 37), Augmentation(rotate=90), uniform(), 32)
    assert torch.allclose(odd, picture(1, 37)[..., 2:34, 2:34], atol=1e-5)


def test_crops_keep_their_share_of_the_area_lie_inside_and_are_not_too_long() -> None:
    middle = positions(Augmentation(crop=(0.2, 0.9)), drawn(500))[:, :, 31:33, 31:33]
    width = (middle[:, 0, 0, 1] - middle[:, 0, 0, 0]) * 64
    height = (middle[:, 1, 1, 0] - middle[:, 1, 0, 0]) * 64
    assert (width * height).min() < 0.23 and (width * height).max() > 0.87
    assert ((width * height) > 0.199).all() and ((width * height) < 0.901).all()
    assert 0.74 < (width / height).min() < 0.8 and 1.25 < (width / height).max() < 1.34
    for side, centre in ((width, middle[:, 0].mean((1, 2))), (height, middle[:, 1].mean((1, 2)))):
        left, right = centre - side / 2, centre + side / 2
        assert -1e-3 < left.min() < 0.02 and 0.98 < right.max() < 1.001
    assert (width > 0.999).sum() + (height > 0.999).sum() < 25  # nothing is merely pushed to the border


def test_a_crop_of_all_may_be_larger_than_the_view() -> None:
    whole = augment(torch.ones(1, 1, 64, 64), Augmentation(crop=(1.0, 1.0)), drawn(1), 32)
    assert torch.allclose(whole, torch.ones(1, 1, 32, 32), atol=1e-5)


def test_an_elastic_warp_is_as_long_as_drawn_zero_at_the_border_and_never_folds() -> None:
    numbers = drawn(100)
    source = positions(Augmentation(elastic=0.05), numbers)
    shift = source - positions(Augmentation(elastic=0.05), uniform())
    length = shift.square().sum(1).sqrt()[:, 1:-1, 1:-1]
    assert torch.allclose(length.amax((1, 2)), 0.05 * numbers[:, COLUMNS["elastic"].start], atol=5e-4)
    assert length[:, [0, -1]].max() < 0.02 and length[:, :, [0, -1]].max() < 0.02
    by_column = (source[:, :, 1:-1, 2:-1] - source[:, :, 1:-1, 1:-2])[:, :, :-1] * 64
    by_row = (source[:, :, 2:-1, 1:-1] - source[:, :, 1:-2, 1:-1])[..., :-1] * 64
    area = by_column[:, 0] * by_row[:, 1] - by_column[:, 1] * by_row[:, 0]
    assert area.min() > 0.1


def test_the_warped_picture_is_what_bends() -> None:
    numbers = drawn(1)
    numbers[:, COLUMNS["rotate"]] = 1.0
    bent = augment(picture(), Augmentation(rotate=90, elastic=0.05), numbers, 32)
    assert torch.allclose(
        bent, augment(torch.rot90(picture(), 1, (2, 3)), Augmentation(elastic=0.05), numbers, 32), atol=1e-4
    )
