"""NIfTI-1 and NIfTI-2 volumes in one file, plain or gzipped, through nibabel's headers."""

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
from gliascope.io.nifti_geometry import geometry, slice_axis
from gliascope.io.scales import brain_window_if_ct, scale_by_percentiles
from gliascope.io.slices import Slice

_TO_MM = {"meter": 1000.0, "micron": 0.001}
_COLOURS = (("R", "G", "B"), ("R", "G", "B", "A"))
_TRAILER = 2**20
_LABELS, _STATISTICS = 1002, range(2, 25)
"""Intent codes (nifti1.h)."""


def read(path: Path, file: BinaryIO) -> list[Slice]:
    """Read a volume as slices in the plane it was acquired in, shown in radiological convention.

    The slices lie across the axis along which voxels are the longest, if they are at least twice as long as
    along the others and 2 mm; else they are axial, from inferior to superior, as in volumes acquired in 3-D.

    The array is brought to the closest canonical orientation (RAS+: first axis to the patient's right, second
    to anterior, third to superior) by flips and swaps of axes only. Axial slice k is then
    `volume[::-1, ::-1, k].T`: anterior is up, and the patient's right on the left of the image. Others are
    shown by the same rule: superior is up, anterior on the left in sagittal ones. A volume one voxel thick is
    one slice in its own plane. The orientation is the sform's or the qform's (`nifti_geometry.geometry`);
    `plane` is None where the file states neither.

    Values that look like Hounsfield units (`placeholders.hounsfield`) are CT and get the brain window; all
    else is scaled by `intensity.spread` over the whole volume, so that slices stay comparable, without
    placeholders, which are black. RGB voxels are kept. `kind` is "segmentation" of a label map and "derived
    map" of a statistical one, by the header's intent code.

    Raises NotAnImageError for a header without pixels, a 4-D volume (a time series, DWI) or values that
    are no grey or colour; DamagedFileError, TooLargeError; what nibabel raises on damaged content
    is left to the caller.
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if packed else file
    header = _header(path, stream)

    def stored() -> Values:
        values: Values = header.raw_data_from_fileobj(stream)
        if packed:
            # gzip compares its checksum at the end of the stream only.
            stream.read(_TRAILER)
        return values

    return cut(path, header, stored)


def cut(path: Path, header: Any, stored: Callable[[], Values]) -> list[Slice]:
    """Slices of a volume, as `read` describes them, from its header and its stored values.

    `stored` gives the values, and is called once the header has been checked. Raises as `read`.
    """
    shape = _shape(path, header)
    affine, sizes, known = geometry(path, header)
    with np.errstate(all="ignore"):  # sizes may be beyond any float's square
        turns = np.asarray(io_orientation(affine), np.intp)  # type: ignore[no-untyped-call]
    order = np.argsort(turns[:, 0])
    canonical = [shape[axis] for axis in order]
    sizes = sizes[order] * _TO_MM.get(header.get_xyzt_units()[0], 1.0)
    axis = slice_axis(canonical, sizes)
    _check(path, header, canonical, axis)
    volume = apply_orientation(stored().reshape(shape), turns)  # type: ignore[no-untyped-call]
    planes = np.moveaxis(volume, axis, 0)[:, ::-1, ::-1].swapaxes(1, 2)
    images, modality, notes = _images(path, planes, header)
    columns, rows = np.delete(sizes, axis)
    spacing = spacing_in_mm((rows, columns))
    plane = PLANES[axis] if known else None
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
    """Parse the fixed part of the header; extensions are passed over."""
    block = stream.read(nib.Nifti2Header.sizeof_hdr)
    kind: Any = nib.Nifti2Header if block[4:7] in (b"n+2", b"ni2") else nib.Nifti1Header
    header = kind(block[: kind.sizeof_hdr], check=False)
    if not header["magic"].item().startswith(b"n+"):
        raise NotAnImageError(path, "NIfTI header without its image", "convert the pair to one .nii file")
    return header


def _shape(path: Path, header: Any) -> tuple[int, int, int]:
    shape = [int(length) for length in header.get_data_shape()]
    if any(length < 1 for length in shape):
        raise DamagedFileError(path, "impossible size", " x ".join(map(str, shape)))
    if len(shape) < 2 or math.prod(shape[3:]) > 1:
        volumes = "4-D volume" if len(shape) == 4 else f"{len(shape)}-D data"
        raise NotAnImageError(path, volumes, "give one 3-D volume, e.g. split by fslsplit")
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _check(path: Path, header: Any, canonical: list[int], axis: int) -> None:
    """Refuse what is too large or of no use, from the header alone; slices are cut along `axis`."""
    dtype = header.get_data_dtype()
    if dtype.names not in _COLOURS and (dtype.kind not in "uif" or dtype.itemsize > 8):
        raise NotAnImageError(path, "values are neither grey nor RGB", f"data type {dtype}")
    width, height = np.delete(canonical, axis)
    limits.check_slice(path, int(height), int(width))
    # The offset counts too: gzip would have to unpack all that is before it.
    size = math.prod(canonical) * dtype.itemsize + int(header.get_data_offset())
    limits.check_total(path, canonical[axis], size)


def _images(path: Path, planes: Values, header: Any) -> tuple[list[Pixels], str | None, list[str]]:
    """Bring `planes` (slices, height, width) of stored values to uint8; "CT" or None; notes."""
    if planes.dtype.names:
        return [_colour(plane) for plane in planes], None, []
    slope, intercept, notes = _slope_intercept(header)

    def real(stored: Values) -> Values:
        # Plane by plane: the whole volume as floats could be four times as large.
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite counts as the lowest value
            return stored if slope is None else np.multiply(stored, slope, dtype=np.float64) + intercept

    if windowed := brain_window_if_ct(planes, real):
        return windowed, "CT", notes
    return scale_by_percentiles(path, list(planes), real), None, notes


def _slope_intercept(header: Any) -> tuple[float | None, float, list[str]]:
    """scl_slope and scl_inter; no slope where it is 0 or no number, which the standard takes for "none"."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    notes = []
    if not math.isfinite(intercept):
        if math.isfinite(slope) and slope != 0:
            notes.append("scl_inter is no number: read as 0")
        intercept = 0.0
    return (slope, intercept, notes) if math.isfinite(slope) and slope != 0 else (None, 0.0, notes)


def _colour(plane: Values) -> Pixels:
    return intensity.one_channel_if_grey(np.stack([plane[channel] for channel in "RGB"], axis=-1))
