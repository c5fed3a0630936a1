"""How the voxels of a NIfTI volume lie, as far as its header tells, and in which plane it is cut."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from gliascope.errors import DamagedFileError

_THICK, _THICK_MM = 2.0, 2.0
"""How much longer than the others, and in mm, the voxels of a volume acquired in slices are across them."""


class Geometry(NamedTuple):
    """How the voxels of a volume lie.

    affine: voxels to places in RAS+. sizes: of voxels along the axes as stored, in the file's unit, 0 where
    it states none. known: whether the file says how the axes lie, or that is only assumed.
    """

    affine: NDArray[np.float64]
    sizes: NDArray[np.float64]
    is_stated: bool


def read_geometry(path: Path, header: Any) -> Geometry:
    """The sform, else the qform, else the voxel sizes.

    A transform counts if its code is set and it maps every axis to one of its own; what a writer left at zero
    is passed over. Raises DamagedFileError where that leaves nothing.
    """
    pixdim, sform = _pixdim(header), _sform(header)
    codes = {name: int(header[f"{name}_code"]) for name in ("sform", "qform")}
    with np.errstate(all="ignore"):
        sizes = np.where(pixdim > 0, pixdim, np.linalg.norm(sform[:3, :3], axis=0))
    if codes["sform"] > 0 and _is_usable(sform):
        return Geometry(sform, sizes, is_stated=True)
    qform = _qform(header, pixdim)
    if codes["qform"] > 0 and _is_usable(qform):
        return Geometry(qform, pixdim, is_stated=True)
    declared = [name for name, code in codes.items() if code > 0]
    if declared and not pixdim.all():
        remedy = f"{' and '.join(declared)} map an axis to nothing; convert the scan again, or set them"
        raise DamagedFileError(path, "orientation cannot be told", remedy)
    if not pixdim.all() and _is_usable(sform):
        return Geometry(sform, sizes, is_stated=False)  # all there is
    # As nibabel and FSL take such files: the first axis runs to the patient's left.
    return Geometry(np.diag([*np.where(pixdim > 0, pixdim, 1.0) * (-1, 1, 1), 1.0]), pixdim, is_stated=False)


def _sform(header: Any) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):  # signalling NaNs
        return np.array([*(header[f"srow_{axis}"] for axis in "xyz"), (0, 0, 0, 1)], np.float64)


def _qform(header: Any, pixdim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the quaternion and the voxel sizes, where those not stated count as 1; NaN if it is no rotation."""
    with np.errstate(all="ignore"):
        vector = np.array([header[f"quatern_{name}"] for name in "bcd"], np.float64)
        square = float(vector @ vector)
    affine = np.eye(4)
    if not square <= 1 + 1e-5:
        return affine * np.nan
    # A `qfac` of neither 1 nor -1 counts as 1 (nifti1.h).
    sizes = np.where(pixdim > 0, pixdim, 1.0) * (1, 1, -1 if header["pixdim"][0] < 0 else 1)
    rotation = quat2mat([math.sqrt(max(0.0, 1 - square)), *vector])  # type: ignore[no-untyped-call]
    affine[:3, :3] = rotation * sizes
    return affine


def _pixdim(header: Any) -> NDArray[np.float64]:
    """Voxel sizes as stored; 0 where the file states none."""
    with np.errstate(all="ignore"):
        sizes = np.abs(header["pixdim"][1:4].astype(np.float64))
    sizes[~np.isfinite(sizes)] = 0
    return np.asarray(sizes)


def _is_usable(affine: NDArray[np.float64]) -> bool:
    """Whether every axis is mapped to one of its own."""
    if not np.isfinite(affine).all():
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(io_orientation(affine)).all())  # type: ignore[no-untyped-call]


def slice_axis(canonical: list[int], sizes: NDArray[np.float64]) -> int:
    """The canonical axis that slices lie across, for so many voxels of such sizes in mm."""
    if 1 in canonical and canonical[2] != 1:
        return canonical.index(1)
    _, second, longest = sorted(sizes)
    if sizes.min() > 0 and longest >= max(_THICK * second, _THICK_MM):
        return int(sizes.argmax())
    return 2
