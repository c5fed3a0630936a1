"""Corruptions of slices, in several strengths. A new corruption is a row of CORRUPTIONS.

TorchIO computes blur, bias field, gamma, rotation and ghosts. Its noise seeds a generator that all threads
share, and its downsampling needs a volume, so those two are our own.

References
----------
Pérez-García et al., TorchIO, Comput. Methods Programs Biomed. 208, 2021.
Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions, ICLR 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.errors import GliascopeError

WHITE = 255
GHOST_COUNT = 4  # equal copies along the phase-encoding direction
BIAS_FIELD_ORDER, BIAS_FIELD_COEFFICIENTS = (
    3,
    20,
)  # of the polynomial in three dimensions, as in TorchIO
BIAS_FIELD_GRID = 65  # positions per side at which the range of a bias field is measured

Pixels = NDArray[np.uint8]
CorruptionFunction = Callable[[Pixels, float, int], Pixels]
"""A slice, uint8 (height, width[, 3]), a strength and a seed to the corrupted slice of the same shape."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """A kind of corruption.

    Parameters
    ----------
    title
        Name on pages.
    description
        What it imitates, and the meaning of a strength.
    strength_format
        Format string of a strength.
    strengths
        The mildest first, which need not be the smallest number. 0 always means the slice as it is.
    apply
        Corrupts a slice.
    """

    title: str
    description: str
    strength_format: str
    strengths: tuple[float, ...]
    apply: CorruptionFunction


def apply_corruption(name: str, pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Corrupt a slice; the same arguments give the same pixels.

    Parameters
    ----------
    name
        A key of CORRUPTIONS.
    pixels
        Uint8 (height, width[, 3]). All colours are changed in the same way.
    strength
        In the unit that the corruption describes; 0 returns the slice as it is.
    seed
        Of random values such as the noise or the direction of a rotation, the same for all strengths.

    Returns
    -------
    ndarray
        Uint8, of the shape of `pixels`.

    Raises
    ------
    GliascopeError
        If the name is unknown.

    Examples
    --------
    >>> apply_corruption("noise", np.zeros((2, 2), np.uint8), 0, seed=0).tolist()
    [[0, 0], [0, 0]]
    """
    if name not in CORRUPTIONS:
        raise GliascopeError(f"unknown corruption {name!r}; choose from {', '.join(CORRUPTIONS)}")
    return CORRUPTIONS[name].apply(pixels, strength, seed) if strength else pixels


def noise(pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Add Gaussian noise. Strength: standard deviation in % of white."""
    drawn = np.random.default_rng(seed).normal(0, strength / 100 * WHITE, pixels.shape[:2])
    return _to_uint8(pixels + drawn.reshape(*drawn.shape, *(1,) * (pixels.ndim - 2)))


def blur(pixels: Pixels, strength: float, _seed: int) -> Pixels:
    """Blur with a Gaussian. Strength: standard deviation in % of the shorter side."""
    import torchio

    sigma = strength / 100 * min(pixels.shape[:2])
    return _transform(torchio.Blur((sigma, sigma, 0)), pixels)


def bias_field(pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Multiply by a smooth field. Strength: how many % its brightest point exceeds its darkest.

    Both are measured within the slice's ellipse. The logarithm of the field is a random polynomial, scaled so
    that its ends are equally far above and below 0.

    References
    ----------
    Van Leemput et al., IEEE Trans. Med. Imaging 18:885, 1999.
    """
    import torchio

    drawn = np.random.default_rng(seed).uniform(-1, 1, BIAS_FIELD_COEFFICIENTS)
    coarse = np.empty((1, BIAS_FIELD_GRID, BIAS_FIELD_GRID, 1))
    field = np.log(torchio.BiasField.generate_bias_field(coarse, BIAS_FIELD_ORDER, drawn.tolist()))[..., 0]
    rows, columns = np.mgrid[-1 : 1 : BIAS_FIELD_GRID * 1j, -1 : 1 : BIAS_FIELD_GRID * 1j]
    inside = field[rows**2 + columns**2 <= 1]
    drawn[0] -= (inside.max() + inside.min()) / 2
    drawn *= np.log1p(strength / 100) / np.ptp(inside)
    return _transform(torchio.BiasField(drawn.tolist(), BIAS_FIELD_ORDER), pixels)


def gamma(pixels: Pixels, strength: float, _seed: int) -> Pixels:
    """Raise grey levels, black being 0 and white 1, to the power of the strength."""
    import torchio

    return _transform(torchio.Gamma(strength), pixels, scale=WHITE)


def rotation(pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Rotate about the centre, to either side. Strength: degrees. Corners get the darkest grey."""
    import torchio

    angle = strength if seed % 2 else -strength
    return _transform(torchio.Affine((1, 1, 1), (0, 0, angle), (0, 0, 0)), pixels)


def motion_ghost(pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Weaken every GHOST_COUNT-th line of k-space except the centre. Strength: the share removed."""
    import torchio

    return _transform(torchio.Ghosting(GHOST_COUNT, seed % 2, strength, None), pixels)


def jpeg(pixels: Pixels, strength: float, _seed: int) -> Pixels:
    """Write as JPEG and read again. Strength: quality."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "jpeg", quality=round(strength))
    return np.asarray(Image.open(file))


def downsampling(pixels: Pixels, strength: float, _seed: int) -> Pixels:
    """Shrink and enlarge again. Strength: pixels of the shorter side; a smaller slice is not changed."""
    height, width = pixels.shape[:2]
    scale = strength / min(height, width)
    if scale >= 1:
        return pixels
    small = max(1, round(scale * width)), max(1, round(scale * height))
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(small, Image.Resampling.BILINEAR)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


CORRUPTIONS = {
    "noise": Corruption(
        "Noise",
        "Gaussian noise, as of a short scan or a weak coil. Its standard deviation in % of white.",
        "{:g} %", (2, 5, 10, 15, 25), noise,
    ),
    "blur": Corruption(
        "Blur",
        "A Gaussian blur, as of a thick slice or smoothing. Its standard deviation in % of the shorter side.",
        "{:g} %", (0.25, 0.5, 1, 2, 4), blur,
    ),
    "bias_field": Corruption(
        "Bias field",
        "A smooth change of brightness, as coils make it. How much brighter one place is than another.",
        "{:g} %", (20, 40, 80, 160, 320), bias_field,
    ),
    "darker": Corruption(
        "Darker gamma",
        "Another window or another screenshot. Grey levels to this power, above 1.",
        "{:g}", (1.25, 1.5, 2, 2.5, 3), gamma,
    ),
    "brighter": Corruption(
        "Brighter gamma",
        "Another window the other way. Grey levels to this power, below 1.",
        "{:g}", (0.8, 0.65, 0.5, 0.4, 0.3), gamma,
    ),
    "rotation": Corruption(
        "Rotation",
        "A head that lies askew. Degrees, to either side.",
        "{:g}°", (5, 10, 15, 20, 30), rotation,
    ),
    "motion_ghost": Corruption(
        "Motion ghost",
        "Faint copies along one direction, as of pulsation or a moving head. How much of every fourth "
        "line of k-space is missing; above 1, it is inverted.",
        "{:g}", (0.25, 0.5, 0.75, 1, 1.5), motion_ghost,
    ),
    "jpeg": Corruption(
        "JPEG",
        "Lossy files, as of slides and web pages. Pillow’s quality: the lower, the coarser.",
        "q {:g}", (50, 30, 20, 10, 5), jpeg,
    ),
    "downsampling": Corruption(
        "Low resolution",
        "A coarse matrix or a thumbnail, enlarged again. Pixels left along the shorter side.",
        "{:g} px", (128, 96, 64, 48, 32), downsampling,
    ),
}  # fmt: skip


def _transform(transform: Any, pixels: Pixels, scale: float = 1) -> Pixels:
    """Apply a TorchIO transform to a slice, as a volume of 1 mm depth with the colours as channels."""
    colours = pixels.reshape(*pixels.shape[:2], -1)
    volume = np.ascontiguousarray(colours.transpose(2, 0, 1)[..., None], dtype=np.float32)
    changed = np.asarray(transform(volume / scale))[..., 0].transpose(1, 2, 0) * scale
    return _to_uint8(changed.reshape(pixels.shape))


def _to_uint8(values: NDArray[Any]) -> Pixels:
    return np.asarray(np.rint(values).clip(0, WHITE).astype(np.uint8))
