"""One patient's head: the atlas rotated, scaled and bent, with its own ventricles, skull and vessels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.synthetic.shapes import Waves
from gliascope.synthetic.space import Array, Grid, vector


@dataclass(frozen=True, eq=False)
class Head:
    """A head in patient space: x right, y front, z up, in mm; near the atlas but not aligned with it.

    Parameters
    ----------
    to_atlas_matrix
        float32 (3, 3): rotation and scaling from patient to atlas directions.
    bend
        Slow waves that are added to each coordinate of all tissue, mm.
    gyri
        Quick waves that are added to each coordinate of the brain, mm.
    ventricles
        How much wider the left and the right lateral ventricle is; 0 as in the atlas.
    sharpness
        1 keeps the soft borders of the average brain; more sharpens them.
    skull_width
        Thickness of skull and scalp; 1 as in the atlas.
    bone, flesh, vessels, spots
        Noise of standard deviation 1.
    age
        0 for few spots in white matter, 1 for many.
    """

    to_atlas_matrix: Array
    bend: tuple[Waves, Waves, Waves]
    gyri: tuple[Waves, Waves, Waves]
    ventricles: tuple[float, float]
    sharpness: float
    skull_width: float
    bone: Waves
    flesh: Waves
    vessels: tuple[Waves, Waves]
    spots: Waves
    age: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Head":
        """Draw a random head."""
        both, apart = rng.uniform(-0.2, 0.45), rng.normal(0, 0.1)
        return cls(
            to_atlas_matrix=_turn(rng.normal(0, (3, 2.5, 4)))
            @ np.diag(rng.normal(1, 0.05, 3)).astype(np.float32),
            bend=_waves(rng, (90, 220), 3.0, 6),
            gyri=_waves(rng, (20, 50), 1.5, 16),
            ventricles=(both + apart, both - apart),
            sharpness=rng.uniform(1.3, 2.4),
            skull_width=rng.uniform(0.75, 1.2),
            bone=Waves.draw(rng, (15, 60), 1),
            flesh=Waves.draw(rng, (16, 70), 1),
            vessels=(Waves.draw(rng, (12, 40), 1), Waves.draw(rng, (12, 40), 1)),
            spots=Waves.draw(rng, (9, 25), 1, count=24),
            age=rng.random(),
        )

    def to_atlas(self, grid: Grid) -> Array:
        """Return the atlas coordinates of the pixels of a slice, float32 (3, height, width) mm."""
        corner, down, across = (
            self.to_atlas_matrix @ vector for vector in (grid.corner, grid.down, grid.across)
        )
        turned = Grid(corner, down, across, grid.height, grid.width)
        return turned.points() + np.stack([waves.on_grid(grid) for waves in self.bend])

    def from_atlas(self, point: Array) -> Array:
        """Return where an atlas point lies in this patient, float32 (3,) mm."""
        back = np.linalg.inv(self.to_atlas_matrix)
        found = vector(back @ point)
        # The bend is gentle, so this settles to a tenth of a millimetre.
        for _ in range(8):
            found = vector(back @ (point - vector([waves.at_point(found) for waves in self.bend])))
        return found

    def brain(self, grid: Grid, points: Array) -> Array:
        """Move atlas points to where this head's gyri and ventricles take their tissue from.

        Parameters
        ----------
        grid
            The pixels of the slice.
        points
            float32 (3, height, width): their atlas coordinates, mm.
        """
        moved = points + np.stack([waves.on_grid(grid) for waves in self.gyri])
        for side, widening in zip((-1, 1), self.ventricles, strict=True):
            offset = points - vector((side * 16, -18, 16))[:, None, None]
            reach = (offset[0] / 17) ** 2 + (offset[1] / 42) ** 2 + (offset[2] / 20) ** 2
            moved = moved - offset * (np.float32(widening) * np.exp(-0.5 * reach))
        return moved


def _waves(
    rng: np.random.Generator, lengths: tuple[float, float], deviation: float, count: int
) -> tuple[Waves, Waves, Waves]:
    x, y, z = (Waves.draw(rng, lengths, deviation, count) for _ in range(3))
    return x, y, z


def _turn(degrees: NDArray[np.float64]) -> Array:
    """Return the rotation by the given angles in degrees about x, y and z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    return turn.astype(np.float32)
