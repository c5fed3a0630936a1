"""The head that every phantom is a variation of: tissue maps of the ICBM 152 brain, with a head around it.

The brain is the ICBM 2009a symmetric template of nilearn (197 x 233 x 189 voxels of 1 mm, without skull).
Skull and scalp are shells around it; the face and neck are ellipsoids and rods. All coordinates are MNI
millimetres: x to the right, y to the front, z up.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import GliascopeError
from gliascope.synthetic.parts import HEAD_SOLIDS, paint
from gliascope.synthetic.shapes import smooth_union
from gliascope.synthetic.space import Array, Field, vector
from gliascope.synthetic.tissues import Tissue

_FILES = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_LOW, _SHAPE = (-99.0, -141.0, -171.0), (198, 270, 291)
_COARSE = 3  # mm; distances are smooth, so a coarse grid read linearly does
_CLOSING = 14.0  # mm; fills sulci, fissures and cisterns
_SCALP = 12.5  # mm from the inner table of the skull to the skin


@dataclass(frozen=True, eq=False)
class Atlas:
    """Tissue maps of the average head.

    Parameters
    ----------
    brain
        Two channels: fractions of grey and of white matter, times 255.
    shells
        Two channels: distances outside the inner table of the skull and outside the skin, mm.
    structures
        `Tissue` of everything but brain, shells and muscle; 0 elsewhere.
    deep_white
        float32 (n, 3) mm: where a glioma may start.
    falx
        float32 (n, 3) mm: where a meningioma of the falx may start.
    """

    brain: Field
    shells: Field
    structures: Field
    deep_white: Array
    falx: Array


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """Return the atlas, which is built on first use (about a second and 40 MB).

    Raises
    ------
    GliascopeError
        If nilearn, which has the template, is not installed.
    """
    brain = _brain()
    solid = Field((brain.values.max(axis=0, keepdims=True) > 60).astype(np.uint8), brain.low)
    skull = _skull(solid)
    parts = paint(Field(np.zeros((1, *_SHAPE), np.uint8), _LOW), solid, skull)
    return Atlas(
        brain=brain,
        shells=Field(np.concatenate([skull.values, _skin(skull)]), _LOW, _COARSE),
        structures=parts,
        deep_white=_deep_white(brain, skull),
        falx=_points(parts, parts.values[0] == Tissue.DURA),
    )


def _brain() -> Field:
    """Read the template's fractions of grey and white matter."""
    import nibabel

    package = find_spec("nilearn")
    if package is None or package.origin is None:
        raise GliascopeError("phantoms need the brain template of nilearn: pip install 'gliascope[data]'")
    folder = Path(package.origin).parent / "datasets" / "data"
    grey, white = (nibabel.Nifti1Image.from_filename(folder / _FILES.format(name)) for name in ("gm", "wm"))
    x, y, z = grey.affine[:3, 3]
    values = np.stack([np.asarray(image.dataobj, np.uint8, order="C") for image in (grey, white)])
    return Field(values, (float(x), float(y), float(z)))


def _skull(solid: Field) -> Field:
    """Compute the distance from the inner table of the skull: the brain's surface, without sulci."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    coarse = Field(np.zeros((1, *(size // _COARSE for size in _SHAPE)), np.float32), _LOW, _COARSE)
    brain = solid.nearest(coarse.points()) > 0
    near = distance_transform_edt(~brain, sampling=_COARSE) <= _CLOSING
    inside = distance_transform_edt(near, sampling=_COARSE)
    outside = distance_transform_edt(~near, sampling=_COARSE)
    distance = _CLOSING + np.where(near, -inside, outside).astype(np.float32)
    return Field(gaussian_filter(distance, 0.8)[None], _LOW, _COARSE)


def _skin(skull: Field) -> Array:
    """Compute the distance from the skin: scalp over the skull, blended into face, nose, ears and neck."""
    points = skull.points()
    skin = skull.values[0] - np.float32(_SCALP)
    for solid, blend in HEAD_SOLIDS:
        skin = smooth_union(skin, solid.distance(points), blend)
    return vector(skin[None])


def _deep_white(brain: Field, skull: Field) -> Array:
    """Return every third point of white matter at least 12 mm from the skull and above the brain stem."""
    sparse = Field(brain.values[1:, ::3, ::3, ::3], brain.low, 3)
    points = _points(sparse, sparse.values[0] > 150)
    points = points[points[:, 2] > -35]
    deep: Array = points[skull.interpolate(points.T)[0] < -12]
    return deep


def _points(field: Field, where: NDArray[np.bool_]) -> Array:
    """Return the coordinates of the grid points where a mask is true, float32 (n, 3) mm."""
    return vector(np.argwhere(where) * field.step + np.array(field.low))
