"""Frames of a DICOM data set, from stored values to uint8."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset

from gliascope.errors import DamagedFileError
from gliascope.io import dicom_tables, intensity
from gliascope.io.dicom_elements import finite_numbers
from gliascope.io.dicom_grey import FrameElements, GreyFrame, grey_frame
from gliascope.io.dicom_values import stored_values
from gliascope.io.facts import digest, plane_of, spacing_in_mm
from gliascope.io.histogram import Histogram
from gliascope.io.intensity import Pixels, Values
from gliascope.io.intensity_range import BITS_STORED, IntensityRange
from gliascope.io.scales import IntensityFacts, SeriesScale

Spacing = tuple[float, float] | None
"""Spacing (row, column) in mm; None where unknown."""

_GROUPS = (
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of a frame, uint8, with their spacing (row, column) in mm and the plane of the frame."""

    pixels: Pixels
    spacing: Spacing
    plane: str | None


def decode_frames(
    path: Path, dataset: FileDataset, scale: SeriesScale | None = None
) -> tuple[list[Frame], IntensityFacts | None, tuple[str, ...]]:
    """Decode all frames of a data set to uint8.

    **Grey.** Values go through the modality LUT or the rescale. They are then brought to 8 bits by the first
    of these ranges that all frames declare alike: the VOI LUT; the first window; the brain window, for CT in
    Hounsfield units (rescaled or signed); the full range of the stored bits, for unsigned values of up to 8
    bits, which are meant for display as they are; else the percentile range of all values. A range that hides
    what all frames hold (`intensity.hides_content`) is ignored with a note, except that a CT of nothing but
    air stays black. Padding and other placeholders are left out and become black. MONOCHROME1 is inverted.

    **Colour.** Colour, also by a palette, becomes RGB. Colour of more than 8 bits is scaled as grey is.

    **Frames.** "All frames" are those of this file or, where `scale` is given, of its series. Rescale,
    window, spacing and orientation of a frame's functional groups take precedence over those of the data set.

    Parameters
    ----------
    path
        The file, for errors.
    dataset
        The data set, as `dicom_file.load` returns it.
    scale
        Grey scale of the series that the file belongs to.

    Returns
    -------
    frames
        All frames in order.
    intensity
        What the file states about the grey scale of its series; None if all frames are colour.
    notes
        What was read differently from what the file states.

    Raises
    ------
    DamagedFileError
        If no value is finite.
    Exception
        Whatever pydicom raises on damaged content.

    References
    ----------
    DICOM PS3.3, C.7.6.16 (functional groups), C.11.1 (modality LUT), C.11.2 (VOI LUT).
    """
    stored, padding, notes = stored_values(path, dataset)
    elements = [
        FrameElements(path, dataset, [*_functional_groups(dataset, index), dataset], notes)
        for index in range(len(stored))
    ]
    frames: Sequence[Pixels | GreyFrame] = _colour_frames(dataset, stored, notes) or [
        grey_frame(elements[index], values, None if padding is None else padding[index])
        for index, values in enumerate(stored)
    ]
    facts = _intensity_facts(dataset, [frame for frame in frames if isinstance(frame, GreyFrame)])
    chosen = scale or (facts.own_scale if facts else None)
    pixels = [_to_pixels(path, dataset, frame, chosen) for frame in frames]
    notes += chosen.notes if chosen else ()
    result = [
        Frame(image, _spacing(one.datasets), _plane(one.datasets))
        for image, one in zip(pixels, elements, strict=True)
    ]
    return result, facts, tuple(dict.fromkeys(notes))


def _to_pixels(path: Path, dataset: Dataset, frame: Pixels | GreyFrame, scale: SeriesScale | None) -> Pixels:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if not isinstance(frame, GreyFrame):
        return ~frame if inverted else frame
    range_ = scale.range_among(frame.declared) if scale else None
    if range_ is None:
        raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
    return range_.to_pixels(frame.real_values(), inverted)


def _intensity_facts(dataset: Dataset, frames: Sequence[GreyFrame]) -> IntensityFacts | None:
    """Return what the file states about the grey scale of its series."""
    if not frames:
        return None
    histogram = Histogram.merge([frame.histogram for frame in frames])
    uid, series = (str(dataset.get(name) or "").strip() for name in ("SOPInstanceUID", "SeriesInstanceUID"))
    # Localizers and phase images in a series do not share the scale of its other slices.
    image_kind = list(dataset.get("ImageType") or [])[2:3]
    elements = [str(dataset.get(name) or "") for name in ("Modality", "PhotometricInterpretation")]
    facts = IntensityFacts(
        digest(series, *elements, *map(str, image_kind)) if series else None,
        frozenset(frame.declared for frame in frames),
        histogram,
        dataset.get("Modality") == "CT",
        digest(uid, histogram.values.tobytes().hex(), histogram.counts.tobytes().hex()),
    )
    return replace(facts, own_scale=facts.common_scale())


def _functional_groups(dataset: Dataset, index: int) -> Iterator[Dataset]:
    """Yield the functional groups of a frame, its own before the shared ones, in an enhanced object."""
    for name, position in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = dataset.get(name) or []
        if position < len(items):
            for group in _GROUPS:
                yield from (items[position].get(group) or [])[:1]


def _colour_frames(dataset: Dataset, stored: Values, notes: list[str]) -> Sequence[Pixels | GreyFrame]:
    """Return frames in colour; none if the file is grey.

    Colour of more than 8 bits, and values whose palette hides them, are returned to be scaled as grey is.
    """
    if stored.ndim == 4:
        bits = int(dataset.BitsStored)
        images = [intensity.one_channel_if_grey(values) for values in stored]
        fits = bits <= 8 and stored.max() < 2**bits
        if fits and any(image.ndim == 3 for image in images):
            return [_full_range(image, bits) for image in images]
        declared = (IntensityRange(BITS_STORED, (0, 2**bits - 1)),) if fits else ()
        return [
            GreyFrame(partial(np.asarray, image), declared, Histogram.from_values(image)) for image in images
        ]
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return []
    coloured = [dicom_tables.apply_palette(dataset, values) for values in stored]
    pixels = [_full_range(intensity.one_channel_if_grey(colours), bits) for colours, bits in coloured]
    if not intensity.hides_content(list(stored), pixels):
        return pixels
    notes.append("the palette shows next to nothing: passed over")
    return [GreyFrame(partial(np.asarray, values), (), Histogram.from_values(values)) for values in stored]


def _full_range(values: Values, bits: int) -> Pixels:
    if values.dtype == np.uint8 and bits == 8:
        return values
    return intensity.scale_linearly(values, 0, 2**bits - 1)


def _spacing(datasets: Sequence[Dataset]) -> Spacing:
    """Return PixelSpacing, else ImagerPixelSpacing."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        for dataset in datasets:
            spacing = spacing_in_mm(finite_numbers(dataset, name))
            if spacing:
                return spacing
    return None


def _plane(datasets: Sequence[Dataset]) -> str | None:
    planes = (plane_of(finite_numbers(dataset, "ImageOrientationPatient")) for dataset in datasets)
    return next((plane for plane in planes if plane), None)
