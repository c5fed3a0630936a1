"""Where things are: pixels of a slice, values on a regular grid. Points: x right, y front, z up; mm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]


def vector(values: ArrayLike) -> Array:
    """`values` as float32."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True, eq=False)
class Grid:
    """The pixel centres of one slice: `corner + row * down + column * across`, mm, each a (3,) array."""

    corner: Array
    down: Array
    across: Array
    size: int

    def points(self) -> Array:
        """(3, size, size) mm."""
        steps = np.arange(self.size, dtype=np.float32)
        rows = self.corner[:, None] + self.down[:, None] * steps
        points: Array = rows[:, :, None] + (self.across[:, None] * steps)[:, None, :]
        return points


@dataclass(frozen=True, eq=False)
class Field:
    """Values on a regular grid: the channels `values[i, j, k]` lie at `low + step * (i, j, k)` mm."""

    values: NDArray[np.float32] | NDArray[np.uint8]  # in C order
    low: Point
    step: float = 1.0

    def at(self, points: Array) -> Array:
        """Trilinear values (channels, …) at `points` (3, …) mm; outside the grid, the nearest edge's.

        Reads all channels at once, which makes it three times as quick as scipy's map_coordinates on each.
        """
        place = self._index(points).reshape(3, -1)
        corner = place.astype(np.int32)
        x, y, z = (place - corner)[:, :, None]
        rows = self.values.reshape(-1, self.values.shape[3])
        first = np.ravel_multi_index(tuple(corner), self.values.shape[:3])
        along_y = self.values.shape[2]
        along_x = along_y * self.values.shape[1]

        def blend(near: Array, far: Array, share: Array) -> Array:
            far -= near
            far *= share
            far += near
            return far

        def line(offset: int) -> Array:
            start = first + offset
            return blend(vector(rows.take(start, 0)), vector(rows.take(start + 1, 0)), z)

        def face(offset: int) -> Array:
            return blend(line(offset), line(offset + along_y), y)

        return blend(face(0), face(along_x), x).T.reshape(self.values.shape[3], *points.shape[1:])

    def nearest(self, points: Array) -> NDArray[np.uint8]:
        """Values of the first channel at the grid points nearest to `points`, as bytes."""
        place = (self._index(points) + np.float32(0.5)).astype(np.int32)
        flat = np.ravel_multi_index(tuple(place), self.values.shape[:3])
        result: NDArray[np.uint8] = self.values[..., 0].take(flat).astype(np.uint8)
        return result

    def region(self, low: Array, high: Array) -> tuple[slice, slice, slice]:
        """The part of the grid within the box from `low` to `high` mm."""
        limits = np.array(self.values.shape[:3])
        first = np.clip(np.floor((low - self.low) / self.step), 0, limits).astype(int)
        after = np.clip(np.ceil((high - self.low) / self.step) + 1, 0, limits).astype(int)
        return slice(first[0], after[0]), slice(first[1], after[1]), slice(first[2], after[2])

    def points(self, region: tuple[slice, slice, slice] = (slice(None), slice(None), slice(None))) -> Array:
        """(3, …) mm of the grid points of `region`."""
        axes = [
            low + self.step * np.arange(size, dtype=np.float32)[part]
            for low, size, part in zip(self.low, self.values.shape, region, strict=False)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)

    def _index(self, points: Array) -> Array:
        """Fractional indices (3, …), a little less than the last so that each has a next."""
        index = np.empty(points.shape, np.float32)
        for axis, size in enumerate(self.values.shape[:3]):
            place = (points[axis] - np.float32(self.low[axis])) / np.float32(self.step)
            np.clip(place, 0, size - 1.01, out=index[axis])
        return index
