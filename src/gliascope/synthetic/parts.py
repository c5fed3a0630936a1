"""Structures beside brain, shells and muscle: skull base, face, neck, vessels and falx."""

from dataclasses import dataclass

import numpy as np

from gliascope.synthetic.shapes import ellipsoid, rod
from gliascope.synthetic.space import Array, Field, Point, vector
from gliascope.synthetic.tissues import Tissue


@dataclass(frozen=True)
class Ball:
    """An ellipsoid of one tissue, in MNI mm. If x is not 0, it is painted on both sides."""

    tissue: Tissue
    centre: Point
    radii: Point

    def box(self) -> tuple[Array, Array]:
        """Return the low and the high corner of its bounding box."""
        centre, radii = vector(self.centre), vector(self.radii)
        return centre - radii, centre + radii

    def distance(self, points: Array) -> Array:
        """Return the signed distance from points (3, ...), inside < 0."""
        return ellipsoid(points, self.centre, self.radii)

    def mirrored(self) -> "Ball":
        """Return the same ellipsoid on the other side."""
        x, y, z = self.centre
        return Ball(self.tissue, (-x, y, z), self.radii)


@dataclass(frozen=True)
class Rod:
    """A rod of one tissue with round ends, in MNI mm. Off the midline it is painted on both sides."""

    tissue: Tissue
    start: Point
    end: Point
    radius: float

    def box(self) -> tuple[Array, Array]:
        """Return the low and the high corner of its bounding box."""
        ends = vector([self.start, self.end])
        return ends.min(axis=0) - np.float32(self.radius), ends.max(axis=0) + np.float32(self.radius)

    def distance(self, points: Array) -> Array:
        """Return the signed distance from points (3, ...), inside < 0."""
        return rod(points, self.start, self.end, self.radius)

    def mirrored(self) -> "Rod":
        """Return the same rod on the other side."""
        (x0, y0, z0), (x1, y1, z1) = self.start, self.end
        return Rod(self.tissue, (-x0, y0, z0), (-x1, y1, z1), self.radius)


# What the skin covers besides the cranium, and over how many mm each blends into the rest.
HEAD_SOLIDS: tuple[tuple[Ball | Rod, float], ...] = (
    (Ball(Tissue.SKIN, (0, 40, -60), (66, 54, 48)), 14),
    (Ball(Tissue.SKIN, (0, 16, -70), (72, 54, 50)), 20),
    (Ball(Tissue.SKIN, (0, 32, -104), (54, 58, 36)), 16),
    (Rod(Tissue.SKIN, (0, -36, -70), (0, -42, -260), 56), 16),
    (Ball(Tissue.SKIN, (0, 94, -58), (11, 18, 16)), 10),
    (Ball(Tissue.SKIN, (80, -28, -42), (5, 13, 24)), 6),
    (Ball(Tissue.SKIN, (-80, -28, -42), (5, 13, 24)), 6),
)

# Later entries paint over earlier ones.
_FACE: tuple[Ball | Rod, ...] = (
    # Orbits
    Ball(Tissue.BONE, (30, 46, -38), (19, 26, 18)),
    Ball(Tissue.FAT, (30, 46, -38), (16, 24, 15)),
    Rod(Tissue.MUSCLE, (22, 52, -38), (14, 26, -34), 2.5),
    Rod(Tissue.MUSCLE, (42, 52, -38), (18, 24, -34), 2.5),
    Rod(Tissue.WHITE, (32, 48, -38), (12, 16, -30), 2.0),
    Ball(Tissue.VITREOUS, (33, 62, -38), (12, 12, 12)),
    Ball(Tissue.SKIN, (33, 71, -38), (4.5, 2, 4.5)),
    # Nose, sinuses, throat
    Ball(Tissue.BONE, (0, 44, -52), (17, 36, 22)),
    Ball(Tissue.MUCOSA, (0, 44, -60), (14, 34, 20)),
    Ball(Tissue.AIR, (6, 52, -60), (2.5, 30, 15)),
    Ball(Tissue.AIR, (7, 48, -40), (6, 18, 8)),
    Ball(Tissue.AIR, (10, 79, -14), (8, 3, 10)),
    Ball(Tissue.BONE, (30, 46, -66), (17, 20, 17)),
    Ball(Tissue.AIR, (30, 46, -66), (14, 17, 15)),
    Ball(Tissue.BONE, (0, 50, -82), (26, 36, 3)),
    Ball(Tissue.MUSCLE, (0, 44, -108), (22, 32, 22)),
    Ball(Tissue.AIR, (0, 10, -74), (11, 7, 14)),
    Rod(Tissue.AIR, (0, 0, -88), (0, -6, -130), 6),
    # Jaws
    Rod(Tissue.BONE, (46, 10, -70), (44, 14, -112), 7),
    Rod(Tissue.BONE, (44, 14, -112), (10, 78, -126), 8),
    Rod(Tissue.MARROW, (44, 14, -112), (10, 78, -126), 4.5),
    Rod(Tissue.BONE, (26, 58, -92), (6, 78, -92), 7),
    Ball(Tissue.FAT, (52, 34, -84), (9, 16, 16)),
    # Spine
    Rod(Tissue.MARROW, (0, -22, -72), (0, -24, -170), 10),
    Ball(Tissue.BONE, (0, -22, -98), (12, 10, 3)),
    Ball(Tissue.BONE, (0, -23, -116), (12, 10, 3)),
    Ball(Tissue.BONE, (0, -24, -134), (12, 10, 3)),
    Ball(Tissue.BONE, (0, -24, -152), (12, 10, 3)),
    Rod(Tissue.BONE, (0, -42, -62), (0, -44, -170), 12),
    Rod(Tissue.CSF, (0, -40, -58), (0, -42, -170), 8.5),
    Rod(Tissue.WHITE, (0, -40, -58), (0, -42, -170), 5),
    Ball(Tissue.MARROW, (0, -68, -88), (4, 14, 4)),
    Ball(Tissue.MARROW, (0, -70, -110), (3, 12, 4)),
    Ball(Tissue.FAT, (0, -86, -110), (16, 8, 50)),
    # Skull base
    Rod(Tissue.BONE, (54, -34, -44), (14, -14, -40), 9),
    Ball(Tissue.AIR, (52, -40, -48), (7, 9, 12)),
    Rod(Tissue.BONE, (0, -10, -42), (0, -28, -64), 7.5),
    Rod(Tissue.MARROW, (0, -10, -42), (0, -28, -64), 5.5),
    Ball(Tissue.BONE, (0, 14, -44), (16, 20, 11)),
    Ball(Tissue.AIR, (6.5, 18, -45), (6, 13, 8)),
    # Sella and around it
    Ball(Tissue.VEIN, (10, 2, -34), (3.5, 8, 4.5)),
    Rod(Tissue.ARTERY, (12, -6, -36), (12, 10, -31), 2.4),
    Ball(Tissue.CSF, (0, 2, -30), (7, 7, 6)),
    Ball(Tissue.GLAND, (0, 2, -33), (6.5, 5, 3.5)),
    Rod(Tissue.GLAND, (0, 0, -30), (0, -2, -20), 1.1),
)

# Painted where there is no brain, so they follow the cisterns.
_VESSELS: tuple[Ball | Rod, ...] = (
    Rod(Tissue.ARTERY, (0, -13, -44), (0, -10, -20), 1.7),
    Rod(Tissue.ARTERY, (12, 4, -28), (13, 2, -19), 2.2),
    Rod(Tissue.ARTERY, (13, 2, -19), (44, -2, -14), 1.7),
    Rod(Tissue.ARTERY, (1.5, 10, -16), (1.5, 36, 4), 1.3),
    Rod(Tissue.ARTERY, (1.5, 36, 4), (1.5, 20, 26), 1.3),
    Rod(Tissue.VEIN, (1.5, -24, 2), (1.5, -38, -2), 1.4),
    Rod(Tissue.VEIN, (0, -40, -2), (0, -78, 8), 2.2),
    Ball(Tissue.CHOROID, (24, -42, 12), (3.5, 8, 5)),
    Rod(Tissue.CHOROID, (20, -36, 18), (8, -10, 20), 1.3),
)


def paint(labels: Field, brain: Field, skull: Field) -> Field:
    """Write the `Tissue` of every structure into a grid, except where there is brain.

    Parameters
    ----------
    labels
        Grid of 1 mm, changed in place.
    brain
        Grid that is not 0 where there is brain.
    skull
        Distance outside the inner table of the skull, mm.
    """
    _add(labels, _FACE)
    _add_sinuses(labels, skull)
    _add(labels, _VESSELS)
    first = np.subtract(brain.low, labels.low).astype(int)
    x, y, z = (slice(at, at + size) for at, size in zip(first, brain.values.shape[1:], strict=True))
    labels.values[0, x, y, z][brain.values[0] > 0] = Tissue.NONE
    _add_falx(labels, skull)
    return labels


def _add(labels: Field, solids: tuple[Ball | Rod, ...]) -> None:
    for solid in solids:
        # On the midline both are equal, and one is left.
        for part in {solid, solid.mirrored()}:
            region = labels.region(*part.box())
            inside = part.distance(labels.points(region)) < 0
            labels.values[0][region][inside] = part.tissue


def _add_sinuses(labels: Field, skull: Field) -> None:
    """Paint the sagittal and the transverse sinuses, just inside the skull."""
    for low, high in (((-4, -110, 0), (4, 60, 100)), ((-70, -115, -24), (70, -40, 2))):
        region = labels.region(vector(low), vector(high))
        points = labels.points(region)
        depth = -skull.interpolate(points)[0]
        across = np.abs(points[0]) if low[0] == -4 else np.abs(points[2] + 6 + np.abs(points[0]) * 0.15)
        # Triangular in section, its base on the bone.
        labels.values[0][region][(depth > 0) & (depth < 5.5) & (across < 4 - 0.6 * depth)] = Tissue.VEIN


def _add_falx(labels: Field, skull: Field) -> None:
    """Paint the fold of dura between the hemispheres: a sheet one voxel thick above the corpus callosum."""
    region = labels.region(vector((0, -112, 0)), vector((0, 75, 100)))
    points = labels.points(region)
    depth = -skull.interpolate(points)[0]
    # Shallow at the front, deep at the back, where it meets the tentorium.
    reach = np.clip(16 - 0.16 * (points[1] - 40), 8, 32)
    sheet = labels.values[0][region]
    above = points[2] > np.where(np.abs(points[1] + 15) > 58, 0, 28)
    sheet[above & (depth > 0) & (depth < reach) & (sheet == Tissue.NONE)] = Tissue.DURA
