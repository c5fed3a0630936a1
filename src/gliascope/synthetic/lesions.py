"""Lesions: where each class grows, what tissue it has, and how it is drawn over its surroundings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.synthetic.atlas import atlas
from gliascope.synthetic.shapes import Waves, ellipsoid
from gliascope.synthetic.space import Array, Grid, vector
from gliascope.synthetic.tissues import Tissue


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion in atlas space; lengths in mm.

    Parameters
    ----------
    centre, radii
        float32 (3,): of the ellipsoid that the lesion is a variation of.
    outline_noise
        Noise that deforms the outline, mm.
    texture
        Noise of the brightness, a fraction.
    margin
        Width over which the edge fades.
    infiltration
        How much further the lesion reaches in white matter.
    body, core
        Tissues of the rim and of the centre, which starts `wall` mm below the edge.
    wall
        Thickness of the rim.
    halo
        Width of oedema around the lesion.
    depth
        How far below the skull the lesion stays.
    tail
        Whether an enhancing tail runs along the dura.
    push
        How far the surroundings are displaced, as a fraction of the radius.
    visibility
        1 gives the tissue its brightness in `tissues.BRIGHTNESS`, 0 that of grey matter.
    """

    centre: Array
    radii: Array
    outline_noise: Waves
    texture: Waves
    margin: float
    infiltration: float
    body: Tissue
    core: Tissue
    wall: float
    halo: float
    depth: float
    tail: bool
    push: float
    visibility: float

    @property
    def radius(self) -> float:
        """Geometric mean of the radii, mm."""
        return float(np.prod(self.radii) ** (1 / 3))

    def points_before_growth(self, points: Array, depth: Array) -> Array:
        """Return where tissue was before the lesion displaced it.

        Parameters
        ----------
        points
            float32 (3, height, width): where it is now, mm.
        depth
            float32 (height, width): distance inside the skull, mm.
        """
        offset = points - self.centre[:, None, None]
        distance = np.sqrt(np.einsum("i...,i...->...", offset, offset))
        beyond = np.maximum(distance - self.radius, 0) / (1.1 * self.radius)
        shift = self.push * np.minimum(distance, self.radius) * np.exp(-0.5 * beyond**2)
        # Bone does not give.
        shift *= np.clip(depth / 6, 0, 1)
        before: Array = points - offset * (shift / np.maximum(distance, 1e-3))
        return before

    def outline(self, grid: Grid, points: Array, depth: Array) -> Array:
        """Return the signed distance to the edge in uniform tissue, float32 (height, width) mm, inside < 0.

        Parameters
        ----------
        grid
            The pixels of the slice.
        points
            float32 (3, height, width): their atlas coordinates, mm.
        depth
            float32 (height, width): distance inside the skull, mm.
        """
        distance = ellipsoid(points, self.centre, self.radii) + self.outline_noise.on_grid(grid)
        outline: Array = np.maximum(distance, np.float32(self.depth) - depth)
        return outline

    def draw_into(
        self, image: Array, grid: Grid, *, points: Array, depth: Array, white: Array, light: Array
    ) -> NDArray[np.bool_]:
        """Draw the lesion into an image.

        Parameters
        ----------
        image
            float32 (height, width), changed in place.
        grid, points, depth
            As for `outline`.
        white
            float32 (height, width): fraction of white matter.
        light
            float32: brightness by `Tissue`.

        Returns
        -------
        numpy.ndarray
            bool (height, width): the pixels that the lesion covers.
        """
        distance: Array = self.outline(grid, points, depth) - self.infiltration * (white - 0.5)
        texture = self.texture.on_grid(grid)
        if self.halo:
            swollen = _inside(distance - self.halo, 1.5) * np.clip(white * 1.6, 0, 1)
            image += swollen * (self._tone(light, Tissue.OEDEMA) - image)
        if self.tail:
            near = ellipsoid(points, self.centre, self.radii * np.float32(1.7)) < 0
            tail = _inside(np.abs(depth - 0.8) - 1.3, 0.3) * near
            image += tail * (self._tone(light, self.body) - image)
        image += _inside(distance, self.margin) * (self._tone(light, self.body) * (1 + texture) - image)
        if self.core != self.body:
            centre = _inside(distance + self.wall * (1 + 2 * texture), 0.6)
            image += centre * (self._tone(light, self.core) - image)
        return distance < 0

    def _tone(self, light: Array, tissue: Tissue) -> np.float32:
        grey = light[Tissue.GREY]
        return np.float32(grey + self.visibility * (light[tissue] - grey))


def _inside(distance: Array, width: float) -> Array:
    """Return 1 inside, 0 outside, and a smooth step of about `width` mm to either side of the edge."""
    result: Array = 0.5 - 0.5 * np.tanh(distance / np.float32(width))
    return result


def glioma(rng: np.random.Generator) -> Lesion:
    """Draw a random glioma: in white matter, irregular and infiltrating, with oedema, sometimes necrotic."""
    places = atlas().deep_white
    radius = float(np.exp(rng.uniform(np.log(13), np.log(31))))
    ring = rng.random() < 0.5
    enhancing = ring or rng.random() < 0.4
    body = Tissue.ENHANCING if enhancing else Tissue.SOLID
    return Lesion(
        centre=places[rng.integers(len(places))],
        radii=vector(radius * rng.uniform(0.75, 1.3, 3)),
        outline_noise=Waves.draw(rng, (0.6 * radius, 3 * radius), 0.16 * radius),
        texture=Waves.draw(rng, (4, 30), rng.uniform(0.05, 0.18), count=32),
        margin=rng.uniform(0.8, 1.5) if enhancing else rng.uniform(1.5, 4),
        infiltration=rng.uniform(0.1, 0.5) * radius,
        body=body,
        core=Tissue.NECROSIS if ring else body,
        wall=rng.uniform(0.15, 0.5) * radius,
        halo=rng.uniform(3, 14),
        depth=2,
        tail=False,
        push=rng.uniform(0.1, 0.6),
        visibility=_visibility(rng),
    )


def meningioma(rng: np.random.Generator) -> Lesion:
    """Draw a random meningioma: on the dura of the vault or falx, round and sharp, with a dural tail."""
    radius = float(np.exp(rng.uniform(np.log(14), np.log(28))))
    return Lesion(
        centre=_on_falx(rng, radius) if rng.random() < 0.25 else _under_vault(rng, radius),
        radii=vector(radius * rng.uniform(0.85, 1.15, 3)),
        outline_noise=Waves.draw(rng, (radius, 4 * radius), 0.05 * radius),
        texture=Waves.draw(rng, (4, 14), rng.uniform(0.01, 0.07)),
        margin=rng.uniform(0.4, 0.8),
        infiltration=0,
        body=Tissue.MENINGIOMA,
        core=Tissue.MENINGIOMA,
        wall=0,
        halo=rng.uniform(2, 10) if rng.random() < 0.4 else 0,
        depth=0.8,
        tail=True,
        push=rng.uniform(0.4, 0.8),
        visibility=_visibility(rng),
    )


def pituitary(rng: np.random.Generator) -> Lesion:
    """Draw a random pituitary tumour: from the sella, round; the larger ones reach up towards the chiasm."""
    radius = float(np.exp(rng.uniform(np.log(9), np.log(18))))
    radii = radius * np.array([rng.uniform(0.9, 1.2), rng.uniform(0.85, 1.1), rng.uniform(0.9, 1.4)])
    return Lesion(
        centre=vector([rng.normal(0, 1.2), 2, radii[2] - 37]),
        radii=vector(radii),
        outline_noise=Waves.draw(rng, (radius, 4 * radius), 0.07 * radius),
        texture=Waves.draw(rng, (3, 10), rng.uniform(0.02, 0.1)),
        margin=rng.uniform(0.5, 1.0),
        infiltration=0,
        body=Tissue.ADENOMA,
        core=Tissue.NECROSIS if rng.random() < 0.12 else Tissue.ADENOMA,
        wall=rng.uniform(0.3, 0.6) * radius,
        halo=0,
        depth=-np.inf,  # it may break through the floor of the sella
        tail=False,
        push=rng.uniform(0.4, 0.9),
        visibility=_visibility(rng),
    )


LESIONS: dict[str, Callable[[np.random.Generator], Lesion]] = {
    "glioma": glioma,
    "meningioma": meningioma,
    "pituitary": pituitary,
}


def _visibility(rng: np.random.Generator) -> float:
    """Draw the visibility of a lesion; one in eight is faint."""
    return rng.uniform(0.5, 0.9) if rng.random() < 1 / 8 else rng.uniform(1.0, 1.4)


def _under_vault(rng: np.random.Generator, radius: float) -> Array:
    """Draw a point as deep below the skull as a lesion of `radius` that rests on it, not at top or base."""
    up = rng.uniform(-0.35, 0.93)
    around = rng.uniform(0, 2 * np.pi)
    level = np.sqrt(1 - up**2)
    direction = vector([level * np.cos(around), level * np.sin(around), up])
    ray = vector(np.array([[0], [-18], [8]]) + direction[:, None] * np.arange(20, 110, 0.5))
    deep = -atlas().shells.interpolate(ray)[0] > rng.uniform(0.6, 0.9) * radius
    centre: Array = ray[:, deep][:, -1]
    return centre


def _on_falx(rng: np.random.Generator, radius: float) -> Array:
    """Draw a point beside the falx, as far from it as a lesion of `radius` that rests on it."""
    places = atlas().falx
    place: Array = places[rng.integers(len(places))].copy()
    place[0] += rng.choice([-1, 1]) * rng.uniform(0.6, 0.9) * radius
    return place
