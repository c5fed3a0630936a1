"""Compute the brightness of every pixel from a head, a lesion and a plane."""

import numpy as np
from numpy.typing import NDArray

from gliascope.synthetic.atlas import atlas
from gliascope.synthetic.head import Head
from gliascope.synthetic.lesions import Lesion
from gliascope.synthetic.space import Array, Grid
from gliascope.synthetic.tissues import Tissue


def draw_slice(
    head: Head, lesion: Lesion | None, grid: Grid, light: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Draw a slice without noise.

    Parameters
    ----------
    head
        The patient's head.
    lesion
        Its lesion, if any.
    grid
        The pixels of the slice.
    light
        float32: brightness by `Tissue`.

    Returns
    -------
    image
        float32 (height, width): brightness.
    mask
        bool (height, width): the lesion.
    """
    image = np.full((grid.height, grid.width), light[Tissue.NONE])
    mask = np.zeros(image.shape, bool)
    box = _box(head, grid)
    image[box], mask[box] = _draw(head, lesion, grid.window(*box), light)
    return image, mask


def _box(head: Head, grid: Grid) -> tuple[slice, slice]:
    """Return the rows and columns that hold the head, from every eighth of each."""
    near = atlas().shells.interpolate(head.to_atlas(grid.coarse(8)))[1] < 4
    return _span(near.any(axis=1), grid.height), _span(near.any(axis=0), grid.width)


def _span(near: NDArray[np.bool_], size: int) -> slice:
    found = np.flatnonzero(near)
    return slice(max(8 * found[0] - 8, 0), min(8 * found[-1] + 9, size)) if len(found) else slice(0, 0)


def _draw(head: Head, lesion: Lesion | None, grid: Grid, light: Array) -> tuple[Array, NDArray[np.bool_]]:
    points = head.to_atlas(grid)
    outside, skin = atlas().shells.interpolate(points)
    depth = -outside
    before = head.brain(grid, points if lesion is None else lesion.points_before_growth(points, depth))
    part = atlas().structures.nearest(before)
    part[skin > -1] = Tissue.NONE
    image = _surroundings(head, grid, np.where(part, part, _shells(head, grid, depth, skin)), light)
    inside = (depth > 0) & ((part == Tissue.NONE) | (part == Tissue.DURA))
    white = np.zeros_like(image)
    brain, white[inside] = _brain(head, grid, before=before, inside=inside, light=light)
    # The falx is thinner than a voxel.
    image[inside] = np.where(part[inside] == Tissue.DURA, 0.5 * (brain + image[inside]), brain)
    if lesion is None:
        return image, np.zeros(image.shape, bool)
    return image, lesion.draw_into(image, grid, points=points, depth=depth, white=white, light=light)


def _shells(head: Head, grid: Grid, depth: Array, skin: Array) -> NDArray[np.uint8]:
    """Return the tissue outside the brain from the distances to skull and skin, uint8 (height, width)."""
    bone = head.bone.on_grid(grid)
    above = -depth / (8 * head.skull_width * (1 + 0.12 * bone))
    tissue = np.full(depth.shape, Tissue.MUSCLE, np.uint8)
    tissue[skin > -5 * head.skull_width * (1 + 0.2 * bone)] = Tissue.FAT
    tissue[above < 1] = Tissue.BONE
    tissue[np.abs(above - 0.5) < 0.22] = Tissue.MARROW
    tissue[depth > -0.2] = Tissue.DURA
    tissue[skin > -1.6] = Tissue.SKIN
    tissue[skin > 0] = Tissue.NONE
    return tissue


def _surroundings(head: Head, grid: Grid, tissue: NDArray[np.uint8], light: Array) -> Array:
    """Return the brightness of everything but the brain: uneven flesh, and muscles with fat between them."""
    flesh = head.flesh.on_grid(grid)
    image: Array = light[tissue] * (1 + 0.08 * flesh)
    septa = np.exp(np.square(flesh) * -60) * (tissue == Tissue.MUSCLE)
    image += septa * (0.3 * (light[Tissue.FAT] - light[Tissue.MUSCLE]))
    return image


def _brain(
    head: Head, grid: Grid, *, before: Array, inside: NDArray[np.bool_], light: Array
) -> tuple[Array, Array]:
    """Return the brightness and the fraction of white matter at the pixels `inside`, float32 (n,) each."""
    points = before[:, inside]
    grey, white = atlas().brain.interpolate(points) / 255
    # Powers sharpen what averaging over many heads has blurred.
    grey, white, fluid = (
        np.clip(share, 0, 1) ** np.float32(head.sharpness) for share in (grey, white, 1 - grey - white)
    )
    whole = grey + white + fluid
    white, fluid = white / whole, fluid / whole
    image = light[Tissue.GREY] + white * (light[Tissue.WHITE] - light[Tissue.GREY])
    image += fluid * (light[Tissue.CSF] - light[Tissue.GREY])
    spots = np.clip(head.spots.on_grid(grid)[inside] - (3.2 - 1.2 * head.age), 0, 0.5) * 2 * white
    image += spots * (light[Tissue.OEDEMA] - image)
    first, second = (waves.on_grid(grid)[inside] for waves in head.vessels)
    # Two noises vanish together along curves: vessels, in the sulci mostly.
    vessel = np.exp((first**2 + second**2) / np.float32(-2 * 0.08**2)) * np.clip(fluid * 2 + 0.1, 0, 1)
    image += vessel * (light[Tissue.VEIN] - image)
    return image, white
