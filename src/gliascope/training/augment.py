"""Augment whole batches on the device: one geometric warp, then changes of intensity."""

import hashlib
import math
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from gliascope.recipes.schema import Augmentation
from gliascope.training.intensities import BIAS_TERMS, INTENSITY_CHANGES, smooth_field

ELASTIC_MODES = 3  # half waves along each side of the picture
# How many random numbers each field of Augmentation takes. A new field is added last, so that the others
# still get the same numbers.
NUMBERS = {
    "flip": 1,
    "rotate": 1,
    "translate": 2,
    "scale": 1,
    "brightness": 1,
    "shear": 1,
    "crop": 4,  # area, aspect ratio, two of the position
    "elastic": 1 + 2 * ELASTIC_MODES**2,  # strength, then the waves of both directions
    "bias_field": len(BIAS_TERMS),
    "gamma": 1,
    "contrast": 1,
    "ghost": 4,  # strength, axis, distance, phase
    "noise": 2,  # standard deviation, seed
}
COLUMNS = {
    name: slice(end - n, end)
    for (name, n), end in zip(NUMBERS.items(), accumulate(NUMBERS.values()), strict=True)
}
NUMBERS_PER_VIEW = sum(NUMBERS.values())
GEOMETRIC = ("flip", "rotate", "translate", "scale", "shear", "crop", "elastic")
_FIRST = 6  # numbers in the first hash
_EACH = 16  # numbers in every other hash: BLAKE2b gives at most 64 bytes


def random_numbers(
    pixel_hashes: NDArray[np.str_], views: NDArray[np.int64] | int, seed: int
) -> NDArray[np.float32]:
    """Compute the random numbers that augmentation uses, as a hash of seed, view and slice content.

    A slice therefore looks the same in a view whatever its batch, its position there, or an interruption.

    Parameters
    ----------
    pixel_hashes
        (n,): hashes of the slices' pixels.
    views
        int64 (n,): number of the view of each slice; or one number for all.
    seed
        The recipe's.

    Returns
    -------
    float32 (n, NUMBERS_PER_VIEW)
        Uniform in [0, 1); COLUMNS names the columns.
    """
    each = np.broadcast_to(views, len(pixel_hashes)).tolist()
    rows = [_bytes(f"{seed}:{view}:{name}") for view, name in zip(each, pixel_hashes, strict=True)]
    integers = np.frombuffer(b"".join(rows), dtype="<u4").reshape(len(rows), NUMBERS_PER_VIEW)
    return (integers >> 8).astype(np.float32) / np.float32(1 << 24)


def _bytes(key: str) -> bytes:
    blocks = [hashlib.blake2b(key.encode(), digest_size=4 * _FIRST).digest()]
    for block in range(1, 1 + math.ceil((NUMBERS_PER_VIEW - _FIRST) / _EACH)):
        blocks.append(hashlib.blake2b(f"{key}:{block}".encode(), digest_size=4 * _EACH).digest())
    return b"".join(blocks)[: 4 * NUMBERS_PER_VIEW]


def augment(images: Tensor, augmentation: Augmentation, uniform: Tensor, size: int) -> Tensor:
    """Make one augmented view of each slice.

    Parameters
    ----------
    images
        (n, channels, stored, stored) in [0, 1], stored ≥ size.
    augmentation
        The recipe's.
    uniform
        (n, NUMBERS_PER_VIEW) from `random_numbers`, on the same device as the images.
    size
        Side of the views. Where it is less than `stored` and the augmentation has no `crop`, a view shows the
        central square of the warped picture.

    Returns
    -------
    Tensor
        (n, channels, size, size) in [0, 1].
    """
    if any(getattr(augmentation, name) for name in GEOMETRIC):
        images = _warp(images, augmentation, uniform, size)
    elif size < images.shape[-1]:
        start = _margin(images.shape[-1], size)
        images = images[..., start : start + size, start : start + size]
    for name, change in INTENSITY_CHANGES.items():
        if limit := getattr(augmentation, name):
            images = change(images, uniform[:, COLUMNS[name]], limit)
    return images.clamp(0, 1)


def _margin(stored: int, size: int) -> int:
    """Pixels left out on each side of the central square, as `Preprocessing.margin` computes them."""
    return round((stored - size) / 2)


def _warp(images: Tensor, augmentation: Augmentation, uniform: Tensor, size: int) -> Tensor:
    """Flip, rotate, shift, scale, shear, crop and bend in one bilinear resampling; outside is black.

    Coordinates are those of `grid_sample`, -1 to 1 over each side. The pixel at p of the view shows the
    picture at M p + t.
    """
    either_way = 2 * uniform - 1
    turn, zoom, shear = (either_way[:, COLUMNS[name].start] for name in ("rotate", "scale", "shear"))
    mirror = torch.where(uniform[:, COLUMNS["flip"].start] < augmentation.flip, -1.0, 1.0)
    angle = turn * math.radians(augmentation.rotate)
    zoom = 1 + zoom * augmentation.scale
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    first = torch.stack([mirror * cosine, mirror * sine], dim=1)
    second = torch.stack([-sine, cosine], dim=1) + (shear * augmentation.shear)[:, None] * first
    matrix = torch.stack([first, second], dim=2)
    shift = either_way[:, COLUMNS["translate"]] * 2 * augmentation.translate  # the grid is two wide
    sides, centre = _window(augmentation, uniform[:, COLUMNS["crop"]], images.shape[-1], size)
    shift = shift + (matrix * centre[:, None]).sum(2)
    matrix = matrix * sides[:, None]
    shape = [*images.shape[:2], size, size]
    grid = affine_grid(torch.cat([matrix, shift[:, :, None]], dim=2), shape, align_corners=False)
    if augmentation.elastic:
        bend = _bend(uniform[:, COLUMNS["elastic"]], augmentation.elastic, size)
        grid = grid + (bend.flatten(1, 2) @ matrix.mT).view_as(grid)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _window(augmentation: Augmentation, uniform: Tensor, stored: int, size: int) -> tuple[Tensor, Tensor]:
    """Choose the rectangle of the picture that each view shows.

    The crop is that of torchvision's RandomResizedCrop (Szegedy et al., 2015): area uniform, logarithm of the
    aspect ratio uniform from 3/4 to 4/3. Only ratios that fit are drawn, so the crop never leaves the
    picture.

    Returns
    -------
    sides
        (n, 2): width and height, as shares of the picture's.
    centre
        (n, 2): x and y, from -1 to 1.
    """
    if augmentation.crop is None:
        start = _margin(stored, size)
        whole = torch.ones_like(uniform[:, :2])
        return whole * (size / stored), whole * ((2 * start + size) / stored - 1)
    lowest, highest = augmentation.crop
    area = lowest + (highest - lowest) * uniform[:, 0]
    widest = (-area.log()).clamp(max=math.log(4 / 3))
    stretch = ((2 * uniform[:, 1] - 1) * widest / 2).exp()
    side = area.sqrt()
    sides = torch.stack([side * stretch, side / stretch], dim=1)
    return sides, (2 * uniform[:, 2:] - 1) * (1 - sides)


def _bend(uniform: Tensor, limit: float, size: int) -> Tensor:
    """Make a random displacement field, (n, size, size, 2), in the grid's coordinates: a sum of sine waves.

    The displacements vanish at the border. The longest one is uniform in [0, `limit`], a share of the view's
    side; with limits up to 0.1, none of a thousand fields folded the picture.
    """
    position = (torch.arange(size, device=uniform.device) + 0.5) * (math.pi / size)
    waves = torch.stack([(half_waves * position).sin() for half_waves in range(1, ELASTIC_MODES + 1)])
    field = smooth_field((2 * uniform[:, 1:] - 1).view(-1, 2, ELASTIC_MODES, ELASTIC_MODES), waves)
    longest = field.square().sum(1).amax((1, 2)).sqrt().clamp(min=1e-6)
    field = field * (uniform[:, 0] * 2 * limit / longest)[:, None, None, None]
    return field.movedim(1, -1)
