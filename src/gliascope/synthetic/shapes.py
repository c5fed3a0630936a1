"""Signed distances to simple solids, and noise that is one function of space on all slices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gliascope.synthetic.space import Array, Grid

_SMALL_PRODUCT = 200_000  # multiplications; OpenBLAS threads from 262,144


@dataclass(frozen=True, eq=False)
class Waves:
    """A sum of plane waves, which is smooth noise with mean 0.

    Parameters
    ----------
    vectors
        float32 (3, n): wave vectors, radians per mm.
    phases, amplitudes
        float32 (n,).
    """

    vectors: Array
    phases: Array
    amplitudes: Array

    @classmethod
    def draw(
        cls, rng: np.random.Generator, lengths: tuple[float, float], deviation: float, count: int = 16
    ) -> "Waves":
        """Draw waves in random directions, with wavelengths evenly distributed on a logarithmic scale.

        Parameters
        ----------
        rng
            Source of the draws.
        lengths
            Shortest and longest wavelength, mm.
        deviation
            Standard deviation of the sum.
        count
            Number of waves.
        """
        direction = rng.standard_normal((3, count))
        direction /= np.linalg.norm(direction, axis=0)
        length = np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1]), count))
        return cls(
            (2 * np.pi * direction / length).astype(np.float32),
            rng.uniform(0, 2 * np.pi, count).astype(np.float32),
            np.full(count, deviation * np.sqrt(2 / count), np.float32),
        )

    def on_grid(self, grid: Grid) -> Array:
        """Return the values on a slice, float32 (height, width).

        On a plane cos(a + b) is a sum of products, so a small matrix product computes it.
        """
        steps = np.arange(max(grid.height, grid.width), dtype=np.float32)[:, None]
        start = grid.corner @ self.vectors + self.phases
        rows = start + steps[: grid.height] * (grid.down @ self.vectors)
        columns = steps[: grid.width] * (grid.across @ self.vectors)
        left = np.concatenate([np.cos(rows) * self.amplitudes, -np.sin(rows) * self.amplitudes], axis=1)
        right = np.concatenate([np.cos(columns), np.sin(columns)], axis=1).T
        # A few rows at a time stay below the size at which BLAS wakes its threads; on a busy machine waiting
        # for those costs a hundred times the product.
        some = max(1, _SMALL_PRODUCT // right.size)
        return np.concatenate([left[row : row + some] @ right for row in range(0, grid.height, some)])

    def at_point(self, point: Array) -> float:
        """Return the value at one point (3,) mm."""
        return float(np.cos(point @ self.vectors + self.phases) @ self.amplitudes)


def ellipsoid(points: Array, centre: ArrayLike, radii: ArrayLike) -> Array:
    """Return about the signed distance from points to an axis-aligned ellipsoid, in mm, inside < 0.

    With f the norm of the points scaled by the radii, the estimate f (f - 1) / |grad (f^2 / 2)| is exact on
    the surface and for spheres.
    """
    shape = (3,) + (1,) * (points.ndim - 1)
    radius = np.asarray(radii, np.float32).reshape(shape)
    scaled = (points - np.asarray(centre, np.float32).reshape(shape)) / radius
    level = np.sqrt(np.einsum("i...,i...->...", scaled, scaled))
    scaled /= radius
    slope = np.sqrt(np.einsum("i...,i...->...", scaled, scaled))
    result: Array = level * (level - 1) / np.maximum(slope, np.float32(1e-6))
    return result


def rod(points: Array, start: ArrayLike, end: ArrayLike, radius: float) -> Array:
    """Return the signed distance from points (3, ...) to a rod with round ends, in mm, inside < 0."""
    shape = (3,) + (1,) * (points.ndim - 1)
    first = np.asarray(start, np.float32)
    axis = np.asarray(end, np.float32) - first
    offset = points - first.reshape(shape)
    along = np.clip(np.einsum("i...,i->...", offset, axis) / (axis @ axis), 0, 1)
    offset -= axis.reshape(shape) * along
    result: Array = np.sqrt(np.einsum("i...,i...->...", offset, offset)) - np.float32(radius)
    return result


def smooth_union(first: Array, second: Array, blend: float) -> Array:
    """Return the union of two signed distances whose crease is filled over `blend` mm (smooth minimum)."""
    weight = np.clip(0.5 + 0.5 * (second - first) / np.float32(blend), 0, 1)
    result: Array = second + (first - second) * weight - np.float32(blend) * weight * (1 - weight)
    return result
