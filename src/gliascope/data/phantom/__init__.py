"""Synthetic brain slices for demonstrations and tests. No patient, no real image: every one is computed.

The anatomy is bent out of the ICBM 152 average brain. Lesions grow where, and look as, their class does;
plane, sequence, brightness, noise and field of view are drawn without regard to the class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.data.phantom.draw import draw_slice
from gliascope.data.phantom.head import Head
from gliascope.data.phantom.lesions import LESIONS, Lesion
from gliascope.data.phantom.scan import Scan
from gliascope.data.phantom.space import Array, Grid

LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic slice. pixels: uint8 (size, size). mask: bool (size, size), the lesion's outline."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    label: str
    seed: int


@dataclass(frozen=True, eq=False)
class Patient:
    """A head, its scan, and a lesion; without tumour the lesion only says which levels are shown."""

    label: str
    seed: int
    head: Head
    scan: Scan
    lesion: Lesion

    @classmethod
    def draw(cls, label: str, seed: int) -> "Patient":
        """The patient that `label` and `seed` stand for. Raises ValueError for an unknown label."""
        if label not in LABELS:
            raise ValueError(f"unknown phantom label {label!r}: expected one of {', '.join(LABELS)}")
        rng = _generator(label, seed)
        # Levels say little about the label if healthy heads are shown at those of every tumour.
        kind = label if label in LESIONS else list(LESIONS)[rng.integers(len(LESIONS))]
        return cls(label, seed, Head.draw(rng), Scan.draw(rng), LESIONS[kind](rng))

    def slices(self, count: int, size: int) -> list[Phantom]:
        """`count` neighbouring slices through the lesion, or through where it would be."""
        rng = _generator(self.label, self.seed, 1)
        reach = 0.55 * self.lesion.radius
        gap = min(rng.uniform(3, 7), 2 * reach / max(count - 1, 1))
        first = rng.uniform(-reach, reach - gap * (count - 1))
        centre = self.head.from_atlas(self.lesion.centre)
        normal = np.cross(self.scan.rows, self.scan.columns)
        return [
            self._slice(self.scan.through(centre + normal * (first + gap * index), size), rng)
            for index in range(count)
        ]

    def _slice(self, grid: Grid, rng: np.random.Generator) -> Phantom:
        image, mask = draw_slice(self.head, self.shown, grid, self.scan.light)
        return Phantom(self.scan.show(self.scan.take(image, grid, rng)), mask, self.label, self.seed)

    @property
    def shown(self) -> Lesion | None:
        """The lesion, if the label has one."""
        return self.lesion if self.label in LESIONS else None


def phantom(label: str, seed: int, size: int = 240) -> Phantom:
    """One slice, the same for the same arguments."""
    return Patient.draw(label, seed).slices(1, size)[0]


def _generator(label: str, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([LABELS.index(label), *key])))
