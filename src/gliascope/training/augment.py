"""Augmented views of whole batches, on the device."""

import hashlib
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from gliascope.recipes import Augmentation

PARAMETERS = 6  # flip, rotation, two shifts, zoom, brightness


def draws(pixel_hashes: NDArray[np.str_], view: int, seed: int) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1), (slices, PARAMETERS), keyed by seed, view and slice content.

    So neither order, nor batch, nor an interruption changes what a slice looks like in a view.
    """
    rows = [
        hashlib.blake2b(f"{seed}:{view}:{name}".encode(), digest_size=4 * PARAMETERS).digest()
        for name in pixel_hashes
    ]
    integers = np.frombuffer(b"".join(rows), dtype="<u4").reshape(len(rows), PARAMETERS)
    return (integers >> 8).astype(np.float32) / np.float32(1 << 24)


def augment(images: Tensor, augmentation: Augmentation, uniform: Tensor) -> Tensor:
    """Flip, rotate, shift and zoom in one warp, then scale brightness.

    images: (n, channels, size, size) in [0, 1]; uniform: (n, PARAMETERS) from `draws`.
    What comes in from outside the slice is black.
    """
    either_way = 2 * uniform - 1
    mirror = torch.where(uniform[:, 0] < augmentation.flip, -1.0, 1.0)
    angle = either_way[:, 1] * math.radians(augmentation.rotate)
    shift = either_way[:, 2:4] * 2 * augmentation.translate  # the grid is two wide
    zoom = 1 + either_way[:, 4] * augmentation.scale
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    top = torch.stack([mirror * cosine, -sine, shift[:, 0]], dim=1)
    bottom = torch.stack([mirror * sine, cosine, shift[:, 1]], dim=1)
    grid = affine_grid(torch.stack([top, bottom], dim=1), list(images.shape), align_corners=False)
    warped = grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gain = 1 + either_way[:, 5] * augmentation.brightness
    return (warped * gain[:, None, None, None]).clamp(0, 1)
