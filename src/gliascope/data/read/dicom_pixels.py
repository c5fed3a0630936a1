"""Frames of a DICOM data set, from stored values to uint8."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset, uid
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from gliascope.data.read import intensity, isolated
from gliascope.data.read.facts import millimetres, plane
from gliascope.data.read.intensity import Pixels, Values

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
Spacing = tuple[float, float] | None

_GROUPS = (
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)


def frames(path: Path, dataset: FileDataset) -> list[tuple[Pixels, Spacing, str | None]]:
    """Decode all frames; return for each its pixels, its spacing (row, column) in mm, and its plane.

    Grey goes through the modality LUT or rescale, then the first of: VOI LUT; first window; for CT in
    Hounsfield units (rescaled or signed) the brain window; for unsigned values of up to 8 bits, which are
    meant for display as they are, their full range; else `intensity.spread` over all such frames of the file.
    MONOCHROME1 is inverted. Colour, also by palette, becomes RGB. What a frame's functional groups say of
    rescale, window, spacing and plane goes before what the data set says (PS3.3 C.7.6.16).

    Raises DamagedFileError; what pydicom raises on damaged content is left to the caller.
    """
    shown, facts = [], []
    for index, stored in enumerate(_decode(path, dataset)):
        places = [*_functional_groups(dataset, index), dataset]
        colour = _colour(dataset, stored)
        shown.append(_grey(dataset, stored, places) if colour is None else colour)
        facts.append((_spacing(places), _plane(places)))
    unscaled = [values for values in shown if values.dtype != np.uint8]
    low, high = intensity.spread(path, unscaled) if unscaled else (0.0, 0.0)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    result = []
    for values, (spacing, lying) in zip(shown, facts, strict=True):
        pixels = values if values.dtype == np.uint8 else intensity.scale(values, low, high)
        result.append((~pixels if inverted else pixels, spacing, lying))
    return result


def _decode(path: Path, dataset: FileDataset) -> Values:
    """Stored values, (frames, height, width) or (frames, height, width, 3)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == uid.RLELossless:
        stored = pixel_array(dataset, allow_excess_frames=False)
    elif syntax in _JPEG or (syntax in uid.JPEG2000TransferSyntaxes and dataset.SamplesPerPixel == 1):
        stored = pixel_array(dataset, allow_excess_frames=False, decoding_plugin="pillow")
    else:
        stored = isolated.pixel_array(path)
    # Not `iter_pixels`: pydicom 3.0 fails there on signed JPEG 2000, whose sign it mends in place.
    return stored if int(dataset.get("NumberOfFrames") or 1) > 1 else stored[np.newaxis]


def _functional_groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    """Yield where an enhanced object may state things of frame `index`, the most particular first."""
    for name, at in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(name) or []
        if at < len(items):
            for group in _GROUPS:
                yield from (items[at].get(group) or [])[:1]


def _colour(dataset: Dataset, stored: Values) -> Pixels | None:
    if stored.ndim == 3:
        bits = int(dataset.BitsStored)
    elif dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    else:
        return None
    return intensity.one_channel_if_grey(_full_range(stored, bits))


def _grey(dataset: Dataset, stored: Values, places: Sequence[Dataset]) -> Values:
    """Return uint8, or float32 where only the whole file can tell the range."""
    values, rescaled = _modality_values(dataset, stored, places)
    if dataset.get("VOILUTSequence"):
        entries, bits = _look_up(dataset, dataset.VOILUTSequence[0], values)
        return _full_range(entries, bits)
    centre, width = _first(places, "WindowCenter"), _first(places, "WindowWidth")
    function = next((str(p.VOILUTFunction).upper() for p in places if p.get("VOILUTFunction")), "LINEAR")
    if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-6):
        return intensity.window(values, centre, width, function)
    if dataset.get("Modality") == "CT" and (rescaled or stored.dtype.kind == "i"):
        return intensity.window(values, *intensity.BRAIN_WINDOW)
    if stored.dtype.kind == "u" and dataset.BitsStored <= 8 and not rescaled:
        return _full_range(stored, int(dataset.BitsStored))
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _modality_values(dataset: Dataset, stored: Values, places: Sequence[Dataset]) -> tuple[Values, bool]:
    """Apply the modality LUT, else the rescale (PS3.3 C.11.1); also whether one changed the values."""
    if tables := dataset.get("ModalityLUTSequence"):
        return _look_up(dataset, tables[0], stored)[0], True
    slope, intercept = _first(places, "RescaleSlope"), _first(places, "RescaleIntercept")
    if slope is None or intercept is None or (slope, intercept) == (1.0, 0.0):
        return stored, False
    with np.errstate(over="ignore"):  # what is not finite counts as the lowest value
        return stored * slope + intercept, True


def _look_up(dataset: Dataset, item: Dataset, values: Values) -> tuple[Values, int]:
    """Map values by a modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1); return entries and their bits.

    pydicom's own `apply_voi` (3.0) wraps around at 256 in tables of more 8-bit entries than that.
    """
    _, first, bits = item.LUTDescriptor
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if dataset.original_encoding[1] else ">u2")
    table = np.atleast_1d(np.asarray(data))
    at = np.clip(np.rint(np.asarray(values, np.float64)) - first, 0, len(table) - 1)
    return table[at.astype(np.intp)], int(bits)


def _full_range(values: Values, bits: int) -> Pixels:
    if values.dtype == np.uint8 and bits == 8:
        return values
    return intensity.scale(values, 0, 2**bits - 1)


def _spacing(places: Sequence[Dataset]) -> Spacing:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        for place in places:
            found = millimetres(_numbers(place, name))
            if found:
                return found
    return None


def _plane(places: Sequence[Dataset]) -> str | None:
    found = (plane(_numbers(place, "ImageOrientationPatient")) for place in places)
    return next((name for name in found if name), None)


def _first(places: Sequence[Dataset], name: str) -> float | None:
    """First value of the first place that states the element in finite numbers."""
    return next((numbers[0] for place in places if (numbers := _numbers(place, name))), None)


def _numbers(place: Dataset, name: str) -> list[float]:
    """Values of an element; empty if it is absent or not in finite numbers, which a file survives."""
    try:
        value: Any = place.get(name)
        values = [] if value is None else list(value) if isinstance(value, Sequence) else [value]
        numbers = [float(number) for number in values]
    except (TypeError, ValueError, OverflowError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
