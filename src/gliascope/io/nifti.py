"""Reader of NIfTI-1 and NIfTI-2 volumes in one file, plain or gzipped, by nibabel's headers."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from gliascope.errors import DamagedFileError, NotAnImageError
from gliascope.io import intensity, limits
from gliascope.io.facts import PLANES, spacing_in_mm
from gliascope.io.intensity import Pixels, Values
from gliascope.io.nifti_geometry import read_geometry, slice_axis
from gliascope.io.scales import brain_window_if_ct, scale_by_percentiles
from gliascope.io.slices import Slice

_TO_MM = {"meter": 1000.0, "micron": 0.001}
_COLOURS = (("R", "G", "B"), ("R", "G", "B", "A"))
_MAX_TRAILER = 2**20  # bytes
_LABELS, _STATISTICS = 1002, range(2, 25)
"""Intent codes of label maps and statistical maps (nifti1.h)."""


def read(path: Path, file: BinaryIO) -> list[Slice]:
    """Read a volume as slices in the plane in which it was acquired, in radiological convention.

    Parameters
    ----------
    path
        Name of the file in slices and errors.
    file
        The open file.

    Returns
    -------
    list of Slice
        One slice for each plane of the volume, as `volume_slices` describes them.

    Raises
    ------
    NotAnImageError
        For a header without its image, a 4-D volume (a time series, DWI), or values that are neither grey nor
        RGB.
    DamagedFileError
        If the header states an impossible size or orientation.
    TooLargeError
        If the volume exceeds a limit; this is checked before its values are read.
    Exception
        Whatever nibabel raises on damaged content; `gliascope.io.read` turns it into DamagedFileError.
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if packed else file
    header = _header(path, stream)

    def read_values() -> Values:
        values: Values = header.raw_data_from_fileobj(stream)
        if packed:
            # gzip checks its checksum only when the stream is read to its end.
            stream.read(_MAX_TRAILER)
        return values

    return volume_slices(path, header, read_values)


def volume_slices(path: Path, header: Any, read_values: Callable[[], Values]) -> list[Slice]:
    """Cut a volume into slices and bring them to uint8.

    **Plane.** Slices lie across the axis along which voxels are by far the longest (`slice_axis`). Without
    such an axis, as in volumes acquired in 3-D, they are axial, from inferior to superior.

    **Orientation.** The array is brought to the closest canonical orientation (RAS+: first axis to the
    patient's right, second to anterior, third to superior) by flips and swaps of axes only. Axial slice k is
    then `volume[::-1, ::-1, k].T`: anterior is up, the patient's right is on the left of the image. In
    coronal and sagittal slices superior is up; anterior is on the left of sagittal slices.

    **Grey.** Values that look like Hounsfield units (`placeholders.is_hounsfield`) are taken for CT and get
    the brain window. All others are brought to 8 bits by the percentile range of the whole volume, so that
    its slices stay comparable. Placeholders are left out of the range and become black. RGB voxels are kept.

    Parameters
    ----------
    path
        Name of the file in slices and errors.
    header
        Header of nibabel.
    read_values
        Returns the stored values. It is called after the header has been checked.

    Returns
    -------
    list of Slice
        `plane` is None where the file states no orientation. `kind` is "segmentation" for a label map and
        "derived map" for a statistical map, by the header's intent code.

    Raises
    ------
    NotAnImageError, DamagedFileError, TooLargeError
        As `read`.
    """
    shape = _shape(path, header)
    affine, sizes, is_stated = read_geometry(path, header)
    with np.errstate(all="ignore"):  # the squares of sizes may overflow
        turns = np.asarray(io_orientation(affine), np.intp)  # type: ignore[no-untyped-call]
    order = np.argsort(turns[:, 0])
    canonical = [shape[axis] for axis in order]
    sizes = sizes[order] * _TO_MM.get(header.get_xyzt_units()[0], 1.0)
    axis = slice_axis(canonical, sizes)
    _check(path, header, canonical, axis)
    volume = apply_orientation(read_values().reshape(shape), turns)  # type: ignore[no-untyped-call]
    planes = np.moveaxis(volume, axis, 0)[:, ::-1, ::-1].swapaxes(1, 2)
    images, modality, notes = _images(path, planes, header)
    columns, rows = np.delete(sizes, axis)
    spacing = spacing_in_mm((rows, columns))
    plane = PLANES[axis] if is_stated else None
    intent = int(header["intent_code"])
    kind = "segmentation" if intent == _LABELS else "derived map" if intent in _STATISTICS else None
    return [
        Slice(
            np.ascontiguousarray(image),
            path,
            index,
            "nifti",
            modality,
            spacing,
            plane=plane,
            notes=tuple(notes),
            kind=kind,
        )
        for index, image in enumerate(images)
    ]


def _header(path: Path, stream: Any) -> Any:
    """Parse the fixed part of the header and ignore its extensions."""
    block = stream.read(nib.Nifti2Header.sizeof_hdr)
    kind: Any = nib.Nifti2Header if block[4:7] in (b"n+2", b"ni2") else nib.Nifti1Header
    header = kind(block[: kind.sizeof_hdr], check=False)
    if not header["magic"].item().startswith(b"n+"):
        raise NotAnImageError(path, "NIfTI header without its image", "convert the pair to one .nii file")
    return header


def _shape(path: Path, header: Any) -> tuple[int, int, int]:
    """Return the number of voxels along three axes; refuse volumes of more than three."""
    shape = [int(length) for length in header.get_data_shape()]
    if any(length < 1 for length in shape):
        raise DamagedFileError(path, "impossible size", " x ".join(map(str, shape)))
    if len(shape) < 2 or math.prod(shape[3:]) > 1:
        volumes = "4-D volume" if len(shape) == 4 else f"{len(shape)}-D data"
        raise NotAnImageError(path, volumes, "give one 3-D volume, e.g. split by fslsplit")
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _check(path: Path, header: Any, canonical: list[int], axis: int) -> None:
    """Refuse, by the header alone, a volume that is too large or whose values are neither grey nor RGB."""
    dtype = header.get_data_dtype()
    if dtype.names not in _COLOURS and (dtype.kind not in "uif" or dtype.itemsize > 8):
        raise NotAnImageError(path, "values are neither grey nor RGB", f"data type {dtype}")
    width, height = np.delete(canonical, axis)
    limits.check_slice(path, int(height), int(width))
    # The offset of the values counts too, since gzip must unpack all bytes before it.
    size = math.prod(canonical) * dtype.itemsize + int(header.get_data_offset())
    limits.check_total(path, canonical[axis], size)


def _images(path: Path, planes: Values, header: Any) -> tuple[list[Pixels], str | None, list[str]]:
    """Bring stored values (slices, height, width) to uint8.

    Returns the images, the modality ("CT" or None) and notes for the slices.
    """
    if planes.dtype.names:
        return [_colour(plane) for plane in planes], None, []
    slope, intercept, notes = _slope_intercept(header)

    def real(stored: Values) -> Values:
        # Plane by plane: the whole volume as floats could be four times as large. Values that overflow
        # are not finite, and become the lowest value.
        with np.errstate(over="ignore", invalid="ignore"):
            return stored if slope is None else np.multiply(stored, slope, dtype=np.float64) + intercept

    if windowed := brain_window_if_ct(planes, real):
        return windowed, "CT", notes
    return scale_by_percentiles(path, list(planes), real), None, notes


def _slope_intercept(header: Any) -> tuple[float | None, float, list[str]]:
    """Return scl_slope, scl_inter and notes; no slope where it is 0 or not finite, which means unscaled."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    notes = []
    if not math.isfinite(intercept):
        if math.isfinite(slope) and slope != 0:
            notes.append("scl_inter is no number: read as 0")
        intercept = 0.0
    return (slope, intercept, notes) if math.isfinite(slope) and slope != 0 else (None, 0.0, notes)


def _colour(plane: Values) -> Pixels:
    return intensity.one_channel_if_grey(np.stack([plane[channel] for channel in "RGB"], axis=-1))
