"""Turn NumPy arrays into slices, and refuse those whose meaning would have to be guessed."""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gliascope.errors import InputError
from gliascope.io import limits
from gliascope.io.intensity import Values, one_channel_if_grey
from gliascope.io.scales import brain_window_if_ct
from gliascope.io.slices import Slice

MAX_MASK_LEVELS = 4
"""Most grey levels by which a file or array is recognised as a mask. No scan has so few."""

_SPACING_LIMITS = (0.01, 100.0)
"""Spacings in mm that voxels of a scan may have; others are in another unit."""

_STACK = (
    "a stack of pictures is never guessed from a shape: give predict_study(x, axis=…) for the slices of one "
    "study, or a list of pictures, such as list(x)"
)
_ROWS = "give the picture as rows and columns: x.reshape(height, width)"
_AXIS = (
    "an array does not say along which axis its slices lie: give axis=0 where x[0] is a slice, axis=2 where "
    "x[:, :, 0] is one; of a NIfTI file give the nibabel image, which knows"
)
_SPACING = "spacing: expected three numbers, mm between voxels along each axis of the array, in its order"
_LAST = (
    "the slices were taken along the last axis of an array, as they lie: those of a NIfTI file would lie on "
    "their side; give the nibabel image, which knows how they lie"
)
_COLOUR = (
    "the channels of an array differ, and were read as red, green and blue: OpenCV has blue first "
    "(x[..., ::-1]), and three slices of a volume belong into predict_study(x, axis=2)"
)
_HOUNSFIELD = "the values look like Hounsfield units: the brain window was applied (centre 40, width 80)"

Spacing = tuple[float, float, float]


def check_picture(path: Path, array: Values) -> Values:
    """Return the array in this machine's byte order, if it is one picture.

    Parameters
    ----------
    path
        What errors call the array.
    array
        Integers or floats, (height, width) in grey or (height, width, 3) in RGB.

    Raises
    ------
    InputError
        For any other shape, masked arrays, booleans and complex numbers.
    """
    array = _numbers(path, array)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
        return array
    remedies = [_STACK if array.ndim >= 3 else _ROWS]
    if array.ndim == 3 and array.shape[2] == 4:
        remedies.append("of RGBA give PIL.Image.fromarray(x), whose transparency is laid on black")
    if array.ndim == 3 and 1 in array.shape:
        remedies.append("of one channel give x.squeeze()")
    if array.ndim == 3 and array.shape[0] == 3:
        remedies.append("of colour whose channels come first give numpy.moveaxis(x, 0, -1)")
    raise InputError(
        f"{path}: expected an array of shape (height, width), or (height, width, 3) in RGB, but got "
        f"{array.shape}; {'; '.join(remedies)}"
    )


def check_volume(
    path: Path, array: Values, axis: object, spacing: object
) -> tuple[Values, Spacing | None, tuple[str, ...]]:
    """Return the array with its slices along the first axis.

    Parameters
    ----------
    path
        What errors call the array.
    array
        Integers or floats with three axes.
    axis : object
        The axis along which the slices lie: 0 to 2, or -3 to -1 from the last.
    spacing : object
        Three numbers, mm between the voxels along each axis of the array, or None.

    Returns
    -------
    volume : ndarray
        (slices, height, width).
    spacing : tuple of float or None
        In the order of the axes of `volume`.
    notes : tuple of str
        What may look otherwise than expected.

    Raises
    ------
    InputError
        For anything else; the message says how to convert it.
    """
    array = _numbers(path, array)
    if array.ndim != 3:
        one = "one picture goes to predict(x)" if array.ndim == 2 else "give one volume, such as x[..., 0]"
        raise InputError(
            f"{path}: expected a volume of three axes but got {array.ndim}; {one}; list slices in colour"
        )
    if axis is None:
        raise InputError(f"{path}: {_AXIS}")
    along = _axis(path, axis)
    notes = [_LAST] if along == 2 else []
    sizes = None if spacing is None else _millimetres(path, spacing)
    if sizes is not None:
        rows, columns = (size for index, size in enumerate(sizes) if index != along)
        sizes = (sizes[along], rows, columns)
        if max(rows, columns) >= 2 * min(rows, columns):
            notes.append(f"pixels of {rows:g} × {columns:g} mm are shown as squares; cut along another axis")
    return np.moveaxis(array, along, 0), sizes, tuple(notes)


def refuse_mask(path: Path, pictures: Values | Sequence[Values]) -> None:
    """Refuse pictures that together have only 2 to MAX_MASK_LEVELS different values.

    An array has no name that would tell a mask from a scan.

    Raises
    ------
    InputError
        If they are a mask by their values.
    """
    levels = set[float]()
    for picture in pictures:
        for pixels in (picture[::16, ::16], picture):  # a few pixels of nearly any scan suffice
            different = np.unique(pixels)
            levels.update(different[np.isfinite(different)][: MAX_MASK_LEVELS + 1].tolist())
            if len(levels) > MAX_MASK_LEVELS:
                return
    if len(levels) > 1:
        values = ", ".join(f"{level:g}" for level in sorted(levels))
        raise InputError(
            f"{path}: holds nothing but the values {values}, as a mask does and no scan; give the picture "
            "that it was drawn on"
        )


def to_slices(
    path: Path,
    pictures: Values | Sequence[Values],
    spacing: Spacing | None = None,
    notes: tuple[str, ...] = (),
) -> list[Slice]:
    """Make slices of pictures that belong together.

    Pictures of uint8 stay as they are. All others share one grey scale, as the pages of a TIFF or the slices
    of a NIfTI file do. Values that look like Hounsfield units are shown in the brain window.

    Parameters
    ----------
    path
        Name of the slices in findings and errors.
    pictures
        Checked arrays, (height, width) or (height, width, 3) each.
    spacing
        mm between slices, rows and columns, or None.
    notes
        Notes that all slices get.

    Raises
    ------
    ReadError
        If the pictures are empty, too large, or hold no finite value.
    """
    from gliascope.io.raster import scale_pages  # Pillow takes a while to load

    for picture in pictures:
        limits.check_slice(path, picture.shape[0], picture.shape[1])
    limits.check_total(path, len(pictures), sum(picture.nbytes for picture in pictures))
    pages = [one_channel_if_grey(picture) if picture.ndim == 3 else picture for picture in pictures]
    deep = all(page.ndim == 2 and page.dtype != np.uint8 for page in pages)
    windowed = brain_window_if_ct(pictures if isinstance(pictures, np.ndarray) else pages) if deep else None
    scaled = windowed or scale_pages(path, pages)[0]
    all_notes = list(notes)
    if windowed:
        all_notes.append(_HOUNSFIELD)
    elif deep:
        all_notes += _notes_on_bits(pages)
    if any(one.ndim == 3 for one in scaled):
        all_notes.append(_COLOUR)
    facts: dict[str, Any] = {
        "modality": "CT" if windowed else None,
        "spacing": None if spacing is None else spacing[1:],
        "notes": tuple(all_notes),
    }
    return [
        Slice(np.ascontiguousarray(one), path, index, "array", **facts) for index, one in enumerate(scaled)
    ]


def _notes_on_bits(pages: Sequence[Values]) -> list[str]:
    """Return a note if values of another type than uint8 may be those of an 8-bit picture."""
    low, high, whole = np.inf, -np.inf, True
    for page in pages:
        finite = page[np.isfinite(page)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            whole = whole and (page.dtype.kind != "f" or bool((finite == np.rint(finite)).all()))
    floats = any(page.dtype.kind == "f" for page in pages)
    if low < 0 or not ((floats and high <= 1) or (whole and high <= 255)):
        return []
    remedy = "where black and white are fixed, as in a PNG, give uint8" + (": x * 255" if high <= 1 else "")
    return [f"{pages[0].dtype} from {low:g} to {high:g} was spread over all grey levels; {remedy}"]


def _numbers(path: Path, array: Any) -> Values:
    """Return a plain array of integers or floats in this machine's byte order."""
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(f"{path}: expected a plain array but got a masked one; fill it: x.filled(0)")
    plain: Values = np.asarray(array)
    if plain.dtype.kind == "b":
        raise InputError(f"{path}: got booleans, as a mask has; give the picture that the mask was drawn on")
    if plain.dtype.kind not in "uif":
        hint = "; of complex values give abs(x)" if plain.dtype.kind == "c" else ""
        raise InputError(f"{path}: expected integers or floats but got {plain.dtype}{hint}")
    if plain.dtype.kind == "f":  # of 16 bits, or more than 64
        return plain.astype(np.float32 if plain.dtype.itemsize <= 4 else np.float64, copy=False)
    return plain.astype(plain.dtype.newbyteorder("="), copy=False)


def _axis(path: Path, axis: Any) -> int:
    try:
        along = 3 if isinstance(axis, bool) else operator.index(axis)
    except TypeError:
        along = 3
    if not -3 <= along <= 2:
        raise InputError(f"{path}: axis: expected 0, 1 or 2, or -3 to -1 from the last, but got {axis!r}")
    return along % 3


def _millimetres(path: Path, spacing: Any) -> Spacing:
    try:
        sizes = [float(size) for size in spacing]
    except (TypeError, ValueError):
        raise InputError(f"{path}: {_SPACING}, but got {spacing!r}") from None
    if len(sizes) != 3:
        raise InputError(f"{path}: {_SPACING}, but got {len(sizes)}")
    if not all(_SPACING_LIMITS[0] <= size <= _SPACING_LIMITS[1] for size in sizes):  # NaN is within nothing
        raise InputError(
            f"{path}: {_SPACING}, each from {_SPACING_LIMITS[0]:g} to {_SPACING_LIMITS[1]:g}, but got {sizes}"
        )
    return sizes[0], sizes[1], sizes[2]
