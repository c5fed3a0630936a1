"""Frames of a DICOM data set, from stored values to uint8."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset

from gliascope.data.read import dicom_tables, intensity
from gliascope.data.read.dicom_elements import facts, numbers, stated
from gliascope.data.read.dicom_values import decode
from gliascope.data.read.facts import millimetres, plane
from gliascope.data.read.intensity import Pixels, Values
from gliascope.data.read.placeholders import sample

Spacing = tuple[float, float] | None

_AIR = -200.0
"""In Hounsfield units nothing but air is below."""

_GROUPS = (
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)


@dataclass(slots=True)
class _Frame:
    """A frame on its way to uint8.

    values: after the modality LUT or rescale, NaN where padded; None for colours that stay as they are.
    ranges: what the file declares to be shown of the values, by name, in the order of the standard.
    pixels: None as long as no range is chosen.
    """

    values: Values | None
    ranges: list[tuple[str, Callable[[], Pixels]]] = field(default_factory=list)
    pixels: Pixels | None = None


def frames(
    path: Path, dataset: FileDataset
) -> tuple[list[tuple[Pixels, Spacing, str | None]], tuple[str, ...]]:
    """Decode all frames: of each its pixels, its spacing (row, column) in mm, and its plane; then notes.

    Grey goes through the modality LUT or rescale, then the first of: VOI LUT; first window; for CT in
    Hounsfield units (rescaled or signed) the brain window; for unsigned values of up to 8 bits, which are
    meant for display as they are, their full range; else `intensity.spread` over all such frames of the file.
    A range that hides what all its frames hold (`intensity.hides`) is passed over, and a note says so, but a
    CT of nothing but air is rightly black. Padding and other placeholders count for nothing and are black.
    MONOCHROME1 is inverted. Colour, also by palette, becomes RGB; deeper than 8 bits it is spread like grey.
    What a frame's functional groups say of rescale, window, spacing and plane goes before what the data set
    says (PS3.3 C.7.6.16).

    Raises DamagedFileError; what pydicom raises on damaged content is left to the caller.
    """
    stored, padding, notes = decode(path, dataset)
    shown, where = list[_Frame](), []
    for index, one in enumerate(stored):
        places = [*_functional_groups(dataset, index), dataset]
        frame = _colour(dataset, one)
        shown.append(
            frame or _grey(path, dataset, one, None if padding is None else padding[index], places, notes)
        )
        where.append((_spacing(places), _plane(places)))
    _choose_ranges(dataset, shown, notes)
    _spread(path, shown)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    result = []
    for frame, (spacing, lying) in zip(shown, where, strict=True):
        pixels = frame.pixels
        assert pixels is not None  # noqa: S101
        if inverted:
            pixels = ~pixels
            if frame.values is not None and frame.values.dtype.kind == "f":
                pixels[~np.isfinite(frame.values)] = 0
        result.append((pixels, spacing, lying))
    return result, tuple(dict.fromkeys(notes))


def _choose_ranges(dataset: Dataset, shown: Sequence[_Frame], notes: list[str]) -> None:
    """Give frames the pixels of their first declared range that does not hide what they hold."""
    while declared := [(one, one.values) for one in shown if one.pixels is None and one.ranges]:
        name = declared[0][0].ranges[0][0]
        for frame, _ in declared:
            frame.pixels = frame.ranges.pop(0)[1]()
        trusted = [(values, frame.pixels) for frame, values in declared if values is not None]
        images = [values for values, _ in trusted]
        air = dataset.get("Modality") == "CT" and np.mean(sample(images) < _AIR) > 0.99
        if air or not intensity.hides(images, [pixels for _, pixels in trusted if pixels is not None]):
            return
        notes.append(f"the {name} shows next to nothing: passed over")
        for frame, _ in declared:
            frame.pixels = None


def _spread(path: Path, shown: Sequence[_Frame]) -> None:
    """Scale all frames that have no pixels yet, by the spread of their values."""
    frames = [(one, one.values) for one in shown if one.pixels is None and one.values is not None]
    if not frames:
        return
    with np.errstate(over="ignore"):
        deep = [values.astype(np.float32) for _, values in frames]
    deep = intensity.without_placeholders(deep)
    low, high = intensity.spread(path, deep)
    for (frame, _), values in zip(frames, deep, strict=True):
        frame.values, frame.pixels = values, intensity.scale(values, low, high)


def _functional_groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    """Yield where an enhanced object may state things of frame `index`, the most particular first."""
    for name, at in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(name) or []
        if at < len(items):
            for group in _GROUPS:
                yield from (items[at].get(group) or [])[:1]


def _colour(dataset: Dataset, stored: Values) -> _Frame | None:
    if stored.ndim == 3:
        colours, bits = intensity.one_channel_if_grey(stored), int(dataset.BitsStored)
        return _Frame(colours) if bits > 8 else _Frame(None, pixels=_full_range(colours, bits))
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours, bits = dicom_tables.palette(dataset, stored)
        pixels = _full_range(intensity.one_channel_if_grey(colours), bits)
        return _Frame(stored, [("palette", lambda: pixels)])
    return None


def _grey(
    path: Path,
    dataset: Dataset,
    stored: Values,
    padding: NDArray[np.bool_] | None,
    places: Sequence[Dataset],
    notes: list[str],
) -> _Frame:
    values, rescaled = _modality_values(path, dataset, stored, places, notes)
    if padding is not None and padding.any():
        values = np.where(padding, np.nan, values)
    return _Frame(values, _ranges(dataset, stored, values, rescaled, places, notes))


def _ranges(
    dataset: Dataset,
    stored: Values,
    values: Values,
    rescaled: bool,
    places: Sequence[Dataset],
    notes: list[str],
) -> list[tuple[str, Callable[[], Pixels]]]:
    """What the file declares to be shown of grey values, most binding first."""
    ranges = list[tuple[str, Callable[[], Pixels]]]()
    if tables := dataset.get("VOILUTSequence"):
        ranges.append(("VOI LUT", lambda: _full_range(*dicom_tables.look_up(dataset, tables[0], values))))
    function = next((str(p.VOILUTFunction).upper() for p in places if p.get("VOILUTFunction")), "LINEAR")
    if window := _window(places, function, notes):
        ranges.append(("window", partial(intensity.window, values, *window, function)))
    if dataset.get("Modality") == "CT" and (rescaled or stored.dtype.kind == "i"):
        ranges.append(("brain window", partial(intensity.window, values, *intensity.BRAIN_WINDOW)))
    bits = int(dataset.BitsStored) if stored.dtype.kind == "u" else 16
    if bits <= 8 and stored.max() < 2**bits and not rescaled:
        ranges.append(("full range of BitsStored", partial(_full_range, stored, bits)))
    if values.dtype.kind == "f":
        blank = ~np.isfinite(values)
        ranges = [(name, partial(_blacken, pixels, blank)) for name, pixels in ranges]
    return ranges


def _blacken(pixels: Callable[[], Pixels], blank: NDArray[np.bool_]) -> Pixels:
    return np.where(blank, np.uint8(0), pixels())


def _window(places: Sequence[Dataset], function: str, notes: list[str]) -> tuple[float, float] | None:
    """Centre and width of the first window that is whole and possible, in the first place that states one."""
    least = 1 if function == "LINEAR" else 1e-6
    for place in places:
        centres, widths = numbers(place, "WindowCenter"), numbers(place, "WindowWidth")
        for centre, width in zip(centres, widths, strict=False):
            if centre is not None and width is not None and math.isfinite(centre) and width >= least:
                return centre, width
        if any(number is not None for number in (*centres, *widths)):
            notes.append("WindowCenter and WindowWidth state no window that is whole and possible")
    return None


def _modality_values(
    path: Path, dataset: Dataset, stored: Values, places: Sequence[Dataset], notes: list[str]
) -> tuple[Values, bool]:
    """Apply the modality LUT, else the rescale (PS3.3 C.11.1); also whether one changed the values.

    Without a slope it is 1, without an intercept 0.
    """
    if tables := dataset.get("ModalityLUTSequence"):
        return dicom_tables.look_up(dataset, tables[0], stored)[0], True
    slope, intercept = stated(path, places, "RescaleSlope"), stated(path, places, "RescaleIntercept")
    if slope == 0:
        notes.append("RescaleSlope is 0, which would make all values equal: read as 1")
    slope, intercept = slope or 1.0, intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return stored, False
    with np.errstate(over="ignore"):  # what is not finite counts as the lowest value
        return stored * slope + intercept, True


def _full_range(values: Values, bits: int) -> Pixels:
    if values.dtype == np.uint8 and bits == 8:
        return values
    return intensity.scale(values, 0, 2**bits - 1)


def _spacing(places: Sequence[Dataset]) -> Spacing:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        for place in places:
            found = millimetres(facts(place, name))
            if found:
                return found
    return None


def _plane(places: Sequence[Dataset]) -> str | None:
    found = (plane(facts(place, "ImageOrientationPatient")) for place in places)
    return next((name for name in found if name), None)
