"""Orientation and voxel sizes of a NIfTI volume, from its header, and the axis that its slices lie across."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from gliascope.errors import DamagedFileError

_THICK_RATIO, _THICK_MM = 2.0, 2.0
"""A volume counts as acquired in slices if the longest side of its voxels is at least this many times the
second longest, and at least this many mm."""


class Geometry(NamedTuple):
    """Orientation and voxel sizes of a volume.

    Attributes
    ----------
    affine
        Matrix (4, 4) from voxel indices to patient coordinates, RAS+, in the file's unit of length.
    sizes
        Voxel sizes (3,) along the axes as stored, in the file's unit; 0 where the file states none.
    is_stated
        Whether the file states the orientation of the axes; if not, `affine` assumes one.
    """

    affine: NDArray[np.float64]
    sizes: NDArray[np.float64]
    is_stated: bool


def read_geometry(path: Path, header: Any) -> Geometry:
    """Read the orientation and the voxel sizes from a NIfTI header.

    The orientation is that of the sform, else of the qform. A transform is used only if its code is set and
    it maps each axis to a different one, since some writers leave it at zero. Without either, the first axis
    is assumed to run to the patient's left, as nibabel and FSL do.

    Parameters
    ----------
    path
        The file, for the error.
    header
        Header of nibabel.

    Returns
    -------
    Geometry
        Affine, voxel sizes, and whether the orientation is stated.

    Raises
    ------
    DamagedFileError
        If transforms are declared but unusable, and a voxel size is missing.
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
        raise DamagedFileError(path, "orientation is unusable", remedy)
    if not pixdim.all() and _is_usable(sform):
        return Geometry(sform, sizes, is_stated=False)  # its code is not set, but nothing else is there
    return Geometry(np.diag([*np.where(pixdim > 0, pixdim, 1.0) * (-1, 1, 1), 1.0]), pixdim, is_stated=False)


def _sform(header: Any) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):  # signalling NaNs
        return np.array([*(header[f"srow_{axis}"] for axis in "xyz"), (0, 0, 0, 1)], np.float64)


def _qform(header: Any, pixdim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the qform's affine, with missing voxel sizes as 1; NaN if its quaternion is no rotation."""
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
    """Return the voxel sizes in the order of the stored axes; 0 where the file states none."""
    with np.errstate(all="ignore"):
        sizes = np.abs(header["pixdim"][1:4].astype(np.float64))
    sizes[~np.isfinite(sizes)] = 0
    return np.asarray(sizes)


def _is_usable(affine: NDArray[np.float64]) -> bool:
    """Whether an affine is finite and maps each axis to a different one."""
    if not np.isfinite(affine).all():
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(io_orientation(affine)).all())  # type: ignore[no-untyped-call]


def slice_axis(canonical: list[int], sizes: NDArray[np.float64]) -> int:
    """Choose the axis that the slices of a volume lie across.

    Parameters
    ----------
    canonical
        Number of voxels along the axes of RAS+ (left-right, back-front, foot-head).
    sizes
        Voxel sizes in mm along the same axes; 0 where unknown.

    Returns
    -------
    int
        The axis of one voxel, if there is one; else the axis along which voxels are by far the longest
        (volumes acquired in slices); else 2, for axial slices.

    Examples
    --------
    >>> slice_axis([256, 24, 256], np.array([0.9, 5.0, 0.9]))
    1
    >>> slice_axis([160, 256, 256], np.array([1.0, 1.0, 1.0]))
    2
    """
    if 1 in canonical and canonical[2] != 1:
        return canonical.index(1)
    _, second, longest = sorted(sizes)
    if sizes.min() > 0 and longest >= max(_THICK_RATIO * second, _THICK_MM):
        return int(sizes.argmax())
    return 2
