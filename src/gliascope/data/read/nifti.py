"""NIfTI-1 and NIfTI-2 volumes in one file, plain or gzipped, through nibabel's headers."""

import gzip
import math
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from gliascope.data.read import intensity, limits
from gliascope.data.read.facts import millimetres
from gliascope.data.read.intensity import Pixels, Values
from gliascope.data.slices import Slice
from gliascope.errors import DamagedFileError, NotAnImageError

_TO_MM = {"meter": 1000.0, "micron": 0.001}
_COLOURS = (("R", "G", "B"), ("R", "G", "B", "A"))
_TRAILER = 2**20


def read(path: Path, file: BinaryIO) -> list[Slice]:
    """Read a volume as axial slices from inferior to superior, shown in radiological convention.

    The array is brought to the closest canonical orientation (RAS+: first axis to the patient's right, second
    to anterior, third to superior) by flips and swaps of axes only. Slice k is then
    `volume[::-1, ::-1, k].T`: anterior is up, and the patient's right is on the image's left.
    A volume one voxel thick is one slice in its own plane, shown by the same rule: superior is up in coronal
    and sagittal planes, anterior on the left in sagittal ones.

    A lower percentile below -500 means Hounsfield units (modality CT, brain window); all else is scaled by
    `intensity.spread` over the whole volume, so that slices stay comparable. RGB voxels are kept.

    Raises NotAnImageError for a header without pixels, a 4-D volume or values that are no grey or colour,
    DamagedFileError and TooLargeError; what nibabel raises on damaged content is left to the caller.
    """
    stream: Any = gzip.GzipFile(fileobj=file) if file.read(2) == b"\x1f\x8b" else file
    file.seek(0)
    header = _header(path, stream)
    shape = _shape(path, header)
    _check(path, header, shape)
    volume = header.raw_data_from_fileobj(stream).reshape(shape)
    if stream is not file:
        # gzip compares its checksum at the end of the stream only.
        stream.read(_TRAILER)
    turns = io_orientation(header.get_best_affine())  # type: ignore[no-untyped-call]
    if np.isnan(turns).any():
        raise DamagedFileError(path, "orientation cannot be told", "the affine maps an axis to nothing")
    volume = apply_orientation(volume, turns)  # type: ignore[no-untyped-call]
    zooms = np.empty(3)
    zooms[turns[:, 0].astype(int)] = _zooms(header)
    axis = _slice_axis(volume.shape)
    planes = np.moveaxis(volume, axis, 0)[:, ::-1, ::-1].swapaxes(1, 2)
    images, modality = _images(path, planes, header)
    columns, rows = np.delete(zooms, axis)
    return [
        Slice(np.ascontiguousarray(image), path, index, "nifti", modality, millimetres((rows, columns)))
        for index, image in enumerate(images)
    ]


def _header(path: Path, stream: Any) -> Any:
    """Parse the fixed part of the header; extensions are passed over."""
    block = stream.read(nib.Nifti2Header.sizeof_hdr)
    kind: Any = nib.Nifti2Header if is_nifti2(block) else nib.Nifti1Header
    header = kind(block[: kind.sizeof_hdr], check=False)
    if not header["magic"].item().startswith(b"n+"):
        raise NotAnImageError(path, "NIfTI header without its image", "convert the pair to one .nii file")
    return header


def is_nifti2(block: bytes) -> bool:
    """Whether a header of 348 bytes or more is of NIfTI-2."""
    return block[4:8] in (b"n+2\0", b"ni2\0")


def _shape(path: Path, header: Any) -> tuple[int, int, int]:
    shape = [int(length) for length in header.get_data_shape()]
    if any(length < 1 for length in shape):
        raise DamagedFileError(path, "impossible size", " x ".join(map(str, shape)))
    if len(shape) < 2 or math.prod(shape[3:]) > 1:
        volumes = "4-D volume" if len(shape) == 4 else f"{len(shape)}-D data"
        raise NotAnImageError(path, volumes, "give one 3-D volume, e.g. split by fslsplit")
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _check(path: Path, header: Any, shape: tuple[int, int, int]) -> None:
    """Refuse what is too large or of no use, from the header alone."""
    dtype = header.get_data_dtype()
    if dtype.names not in _COLOURS and (dtype.kind not in "uif" or dtype.itemsize > 8):
        raise NotAnImageError(path, "values are neither grey nor RGB", f"data type {dtype}")
    axis = _slice_axis(shape)
    height, width = (length for position, length in enumerate(shape) if position != axis)
    limits.check_slice(path, height, width)
    # The offset counts too: gzip would have to unpack all that is before it.
    limits.check_total(path, shape[axis], math.prod(shape) * dtype.itemsize + int(header.get_data_offset()))


def _zooms(header: Any) -> list[float]:
    """Voxel sizes in mm along the three axes as stored; 0 where the file states none."""
    factor = _TO_MM.get(header.get_xyzt_units()[0], 1.0)
    return [*(abs(float(zoom)) * factor for zoom in header.get_zooms()), 0.0, 0.0][:3]


def _slice_axis(shape: tuple[int, ...]) -> int:
    return shape.index(1) if 1 in shape and shape[2] != 1 else 2


def _images(path: Path, planes: Values, header: Any) -> tuple[list[Pixels], str | None]:
    """Bring `planes` (slices, height, width) of stored values to uint8; also "CT" for Hounsfield units."""
    if planes.dtype.names:
        return [_colour(plane) for plane in planes], None
    slope, intercept = header.get_slope_inter()

    def real(stored: Values | float) -> Any:
        # Plane by plane: the whole volume as floats could be four times as large.
        return stored if slope is None else stored * slope + intercept

    low, high = sorted(map(real, intensity.spread(path, [planes])))
    if low < intensity.HOUNSFIELD_BELOW:
        return [intensity.window(real(plane), *intensity.BRAIN_WINDOW) for plane in planes], "CT"
    return [intensity.scale(real(plane), low, high) for plane in planes], None


def _colour(plane: Values) -> Pixels:
    return intensity.one_channel_if_grey(np.stack([plane[channel] for channel in "RGB"], axis=-1))
