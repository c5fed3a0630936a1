"""Frames of a DICOM data set, from stored values to uint8."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset

from gliascope.errors import DamagedFileError
from gliascope.io import dicom_tables, intensity
from gliascope.io.dicom_elements import finite_numbers, first_number, numbers
from gliascope.io.dicom_values import stored_values
from gliascope.io.facts import digest, plane_of, spacing_in_mm
from gliascope.io.histogram import Histogram
from gliascope.io.intensity import Pixels, Values
from gliascope.io.intensity_range import BITS_STORED, CT_BRAIN_WINDOW, VOI_LUT, WINDOW, IntensityRange
from gliascope.io.scales import IntensityFacts, SeriesScale

Spacing = tuple[float, float] | None

_GROUPS = (
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of a frame, its spacing (row, column) in mm, and its plane."""

    pixels: Pixels
    spacing: Spacing
    plane: str | None


@dataclass(frozen=True, slots=True)
class _Grey:
    """A frame whose values are to be scaled.

    real: the values after modality LUT or rescale, NaN where padded. declared: ranges that the file declares
    to be shown of them, in the order of the standard. counts: of the values.
    """

    real: Callable[[], Values]
    declared: tuple[IntensityRange, ...]
    counts: Histogram


def decode_frames(
    path: Path, dataset: FileDataset, scale: SeriesScale | None = None
) -> tuple[list[Frame], IntensityFacts | None, tuple[str, ...]]:
    """Decode all frames; also what they say of the scale of their series (None if all are colour), and notes.

    Grey goes through the modality LUT or rescale, then the first of these that all frames declare alike: VOI
    LUT; first window; for CT in Hounsfield units (rescaled or signed) the brain window; for unsigned values
    of up to 8 bits, which are meant for display as they are, their full range; else `Counts.spread` of all.
    "All" are the frames of the file or, where a `scale` is given, of its series. A range that hides what they
    all hold (`intensity.hides`) is passed over, and a note says so, but a
    CT of nothing but air is rightly black. Padding and other placeholders count for nothing and are black.
    MONOCHROME1 is inverted. Colour, also by palette, becomes RGB; deeper than 8 bits it is spread like grey.
    What a frame's functional groups say of rescale, window, spacing and plane goes before what the data set
    says (PS3.3 C.7.6.16).

    Raises DamagedFileError; what pydicom raises on damaged content is left to the caller.
    """
    stored, padding, notes = stored_values(path, dataset)
    places = [[*_functional_groups(dataset, index), dataset] for index in range(len(stored))]
    shown: Sequence[Pixels | _Grey] = _colours(dataset, stored, notes) or [
        _grey(path, dataset, one, None if padding is None else padding[index], places[index], notes)
        for index, one in enumerate(stored)
    ]
    grey = _together(dataset, [one for one in shown if isinstance(one, _Grey)])
    chosen = scale or (grey.own_scale if grey else None)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    result = []
    for one, place in zip(shown, places, strict=True):
        if isinstance(one, _Grey):
            range_ = chosen.range_among(one.declared) if chosen else None
            if range_ is None:
                raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
            pixels = range_.to_pixels(one.real(), inverted)
        else:
            pixels = ~one if inverted else one
        result.append(Frame(pixels, _spacing(place), _plane(place)))
    notes += chosen.notes if chosen else ()
    return result, grey, tuple(dict.fromkeys(notes))


def _together(dataset: Dataset, shown: Sequence[_Grey]) -> IntensityFacts | None:
    """What the file says of the scale of its series."""
    if not shown:
        return None
    counts = Histogram.merge([one.counts for one in shown])
    uid, series = (str(dataset.get(name) or "").strip() for name in ("SOPInstanceUID", "SeriesInstanceUID"))
    # A localizer or phase images among the slices are no part of what they share.
    kind = list(dataset.get("ImageType") or [])[2:3]
    about = [str(dataset.get(name) or "") for name in ("Modality", "PhotometricInterpretation")]
    grey = IntensityFacts(
        digest(series, *about, *map(str, kind)) if series else None,
        frozenset(one.declared for one in shown),
        counts,
        dataset.get("Modality") == "CT",
        digest(uid, counts.values.tobytes().hex(), counts.counts.tobytes().hex()),
    )
    return replace(grey, own_scale=grey.common_scale())


def _functional_groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    """Yield where an enhanced object may state things of frame `index`, the most particular first."""
    for name, at in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(name) or []
        if at < len(items):
            for group in _GROUPS:
                yield from (items[at].get(group) or [])[:1]


def _colours(dataset: Dataset, stored: Values, notes: list[str]) -> Sequence[Pixels | _Grey]:
    """Frames in colour; none if the file is grey, or its palette hides what is stored."""
    if stored.ndim == 4:
        bits = int(dataset.BitsStored)
        several = [intensity.one_channel_if_grey(one) for one in stored]
        fits = bits <= 8 and stored.max() < 2**bits
        if fits and any(one.ndim == 3 for one in several):
            return [_full_range(one, bits) for one in several]
        declared = (IntensityRange(BITS_STORED, (0, 2**bits - 1)),) if fits else ()
        return [_Grey(partial(np.asarray, one), declared, Histogram.from_values(one)) for one in several]
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return []
    coloured = [dicom_tables.apply_palette(dataset, one) for one in stored]
    pixels = [_full_range(intensity.one_channel_if_grey(colours), bits) for colours, bits in coloured]
    if not intensity.hides_content(list(stored), pixels):
        return pixels
    notes.append("the palette shows next to nothing: passed over")
    return [_Grey(partial(np.asarray, one), (), Histogram.from_values(one)) for one in stored]


def _grey(
    path: Path,
    dataset: Dataset,
    stored: Values,
    padding: NDArray[np.bool_] | None,
    places: Sequence[Dataset],
    notes: list[str],
) -> _Grey:
    slope, intercept = _rescale(path, dataset, places, notes)

    def modality(values: Values) -> Values:
        """Apply the modality LUT, else the rescale (PS3.3 C.11.1)."""
        if tables := dataset.get("ModalityLUTSequence"):
            return dicom_tables.apply_dicom_lut(dataset, tables[0], values)[0]
        if (slope, intercept) == (1.0, 0.0):
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            real = np.multiply(values, slope, dtype=np.float64) + intercept
        real[~(np.abs(real) <= np.finfo(np.float32).max)] = np.nan
        return real

    def real() -> Values:
        values = modality(stored)
        return values if padding is None else np.where(padding, np.nan, values)

    counted = stored if padding is None else stored[~padding]
    # The sign of a table's first value is told by all the values.
    by_table = "ModalityLUTSequence" in dataset
    counts = (
        Histogram.from_values(modality(counted)) if by_table else Histogram.from_values(counted, modality)
    )
    rescaled = by_table or (slope, intercept) != (1.0, 0.0)
    return _Grey(real, _declared(dataset, stored, rescaled, places, notes), counts)


def _declared(
    dataset: Dataset, stored: Values, rescaled: bool, places: Sequence[Dataset], notes: list[str]
) -> tuple[IntensityRange, ...]:
    """What the file declares to be shown of grey values, most binding first."""
    ranges = list[IntensityRange]()
    if tables := dataset.get("VOILUTSequence"):
        entries, first, bits = dicom_tables.read_lut(dataset, tables[0].LUTDescriptor, tables[0].LUTData)
        ranges.append(IntensityRange(VOI_LUT, (first, bits, *map(int, entries))))
    function = next((str(p.VOILUTFunction).upper() for p in places if p.get("VOILUTFunction")), "LINEAR")
    if window := _window(places, function, notes):
        ranges.append(IntensityRange(WINDOW, window, function))
    if dataset.get("Modality") == "CT" and (rescaled or stored.dtype.kind == "i"):
        ranges.append(IntensityRange(CT_BRAIN_WINDOW, intensity.BRAIN_WINDOW, "LINEAR"))
    bits = int(dataset.BitsStored) if stored.dtype.kind == "u" else 16
    if bits <= 8 and stored.max() < 2**bits and not rescaled:
        ranges.append(IntensityRange(BITS_STORED, (0, 2**bits - 1)))
    return tuple(ranges)


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


def _rescale(
    path: Path, dataset: Dataset, places: Sequence[Dataset], notes: list[str]
) -> tuple[float, float]:
    """Slope and intercept; without a slope it is 1, without an intercept 0."""
    if "ModalityLUTSequence" in dataset:
        return 1.0, 0.0
    slope, intercept = (
        first_number(path, places, "RescaleSlope"),
        first_number(path, places, "RescaleIntercept"),
    )
    if slope == 0:
        notes.append("RescaleSlope is 0, which would make all values equal: read as 1")
    return slope or 1.0, intercept or 0.0


def _full_range(values: Values, bits: int) -> Pixels:
    if values.dtype == np.uint8 and bits == 8:
        return values
    return intensity.scale_linearly(values, 0, 2**bits - 1)


def _spacing(places: Sequence[Dataset]) -> Spacing:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        for place in places:
            found = spacing_in_mm(finite_numbers(place, name))
            if found:
                return found
    return None


def _plane(places: Sequence[Dataset]) -> str | None:
    found = (plane_of(finite_numbers(place, "ImageOrientationPatient")) for place in places)
    return next((name for name in found if name), None)
