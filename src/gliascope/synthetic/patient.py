"""One simulated patient: a head, its scan, a lesion, and slices of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.synthetic.atlas import atlas
from gliascope.synthetic.draw import draw_slice
from gliascope.synthetic.head import Head
from gliascope.synthetic.lesions import LESIONS, Lesion
from gliascope.synthetic.scan import Scan
from gliascope.synthetic.space import Array, Grid, vector

LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")
Volume = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]

# Volumes: pixels to a side, slices, mm between each, and the centre of the first voxel.
_PIXELS, _LAYERS, _SPACING, _FIRST = 192, 32, (1.15, 1.15, 4.5), (-110, -126, -60)


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic slice.

    Parameters
    ----------
    pixels
        uint8 (size, size).
    mask
        bool (size, size): the lesion.
    label
        One of `LABELS`.
    seed
        Number of the simulated patient.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    label: str
    seed: int


@dataclass(frozen=True, eq=False)
class Patient:
    """A head, its scan and a lesion. Without tumour, the lesion only determines which levels are shown."""

    label: str
    seed: int
    head: Head
    scan: Scan
    lesion: Lesion

    @classmethod
    def draw(cls, label: str, seed: int) -> "Patient":
        """Make the patient that a label and a seed stand for; raise ValueError for an unknown label."""
        if label not in LABELS:
            raise ValueError(f"unknown phantom label {label!r}: expected one of {', '.join(LABELS)}")
        rng = generator(label, seed)
        # Levels say little about the label if healthy heads are shown at those of every tumour.
        kind = label if label in LESIONS else list(LESIONS)[rng.integers(len(LESIONS))]
        return cls(label, seed, Head.draw(rng), Scan.draw(rng), LESIONS[kind](rng))

    def slices(self, count: int, size: int) -> list[Phantom]:
        """Return `count` neighbouring slices through the lesion, or through where it would be."""
        rng = generator(self.label, self.seed, 2)
        return [self._slice(grid, rng) for grid in self.slice_grids(count, size)]

    def slice_grids(self, count: int, size: int) -> list[Grid]:
        """Return the pixels of those slices, which are closer together if one would only graze the lesion."""
        rng = generator(self.label, self.seed, 1)
        reach = 0.55 * self.lesion.radius
        gap = min(rng.uniform(3, 7), 1.8 * reach / max(count - 1, 1))
        offsets = rng.uniform(-reach, reach - gap * (count - 1)) + gap * np.arange(count)
        centre = self.head.from_atlas(self.lesion.centre)
        normal = np.cross(self.scan.rows, self.scan.columns)
        for shrink in (1, 0.7, 0.4, 0.2):
            levels = vector(centre + normal * (shrink * offsets)[:, None])
            if min(self._section(level) for level in levels) > 0.3 * np.pi * self.lesion.radius**2:
                break
        return [self.scan.through(level, size) for level in levels]

    def volume(self) -> Volume:
        """Return axial slices of the whole brain, as `phantom_volume` describes."""
        rng = generator(self.label, self.seed, 3)
        x, y, z = np.diag(_SPACING).astype(np.float32)
        grids = [Grid(vector(_FIRST) + z * layer, x, y, _PIXELS, _PIXELS) for layer in range(_LAYERS)]
        drawn = [draw_slice(self.head, self.visible_lesion, grid, self.scan.brightness) for grid in grids]
        measured = [
            self.scan.acquire(image, grid, rng) for (image, _), grid in zip(drawn, grids, strict=True)
        ]
        affine = np.diag([*_SPACING, 1])
        affine[:3, 3] = _FIRST
        volume = np.stack(measured, axis=2) * np.float32(1000)
        return volume, np.stack([mask for _, mask in drawn], axis=2), affine

    def _section(self, level: Array) -> float:
        """Return the area of the lesion in the slice through `level`, in mm2, to a few per cent."""
        grid = self.scan.through(level, 60)
        points = self.head.to_atlas(grid)
        inside = self.lesion.outline(grid, points, -atlas().shells.interpolate(points)[0]) < 0
        return float(inside.sum() * (self.scan.field_of_view / 60) ** 2)

    def _slice(self, grid: Grid, rng: np.random.Generator) -> Phantom:
        image, mask = draw_slice(self.head, self.visible_lesion, grid, self.scan.brightness)
        return Phantom(self.scan.to_display(self.scan.acquire(image, grid, rng)), mask, self.label, self.seed)

    @property
    def visible_lesion(self) -> Lesion | None:
        """The lesion, if the label has one."""
        return self.lesion if self.label in LESIONS else None


def generator(label: str, *key: int) -> np.random.Generator:
    """Return a random number generator that gives the same numbers for the same arguments on every machine.

    label: one of LABELS.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([LABELS.index(label), *key])))
