"""Grey frames of a DICOM data set: their real values, and the intensity ranges that the file declares."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gliascope.io import dicom_tables, intensity
from gliascope.io.dicom_elements import first_number, numbers
from gliascope.io.histogram import Histogram
from gliascope.io.intensity import Values
from gliascope.io.intensity_range import BITS_STORED, CT_BRAIN_WINDOW, VOI_LUT, WINDOW, IntensityRange


@dataclass(frozen=True, slots=True)
class FrameElements:
    """Data sets that hold the elements of one frame.

    Attributes
    ----------
    path
        The file, for errors.
    dataset
        The data set of the file.
    datasets
        The frame's functional groups and then `dataset`: the first that holds an element takes precedence.
    notes
        Collects notes for the slices of the file.
    """

    path: Path
    dataset: Dataset
    datasets: Sequence[Dataset]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class GreyFrame:
    """A frame whose values are still to be brought to 8 bits.

    Attributes
    ----------
    real_values
        Returns the values after the modality LUT or rescale, NaN where padded.
    declared
        Intensity ranges that the file declares for display, in the order of precedence of the standard.
    histogram
        Histogram of the real values without padding.
    """

    real_values: Callable[[], Values]
    declared: tuple[IntensityRange, ...]
    histogram: Histogram


def grey_frame(elements: FrameElements, stored: Values, padding: NDArray[np.bool_] | None) -> GreyFrame:
    """Describe the real values of a grey frame.

    Parameters
    ----------
    elements
        Elements of the frame.
    stored
        Stored values (height, width).
    padding
        Which of them are padding; None if there is none.
    """
    tables = elements.dataset.get("ModalityLUTSequence")
    slope, intercept = (1.0, 0.0) if "ModalityLUTSequence" in elements.dataset else _rescale(elements)

    def rescale(values: Values) -> Values:
        """Apply the modality LUT, else the rescale (PS3.3 C.11.1)."""
        if tables:
            return dicom_tables.apply_dicom_lut(elements.dataset, tables[0], values)[0]
        if (slope, intercept) == (1.0, 0.0):
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            real = np.multiply(values, slope, dtype=np.float64) + intercept
        real[~(np.abs(real) <= np.finfo(np.float32).max)] = np.nan
        return real

    def real_values() -> Values:
        values = rescale(stored)
        return values if padding is None else np.where(padding, np.nan, values)

    measured = stored if padding is None else stored[~padding]
    # A table is applied to all values at once, since they decide the sign of its first value.
    by_table = "ModalityLUTSequence" in elements.dataset
    histogram = (
        Histogram.from_values(rescale(measured)) if by_table else Histogram.from_values(measured, rescale)
    )
    is_rescaled = by_table or (slope, intercept) != (1.0, 0.0)
    return GreyFrame(real_values, _declared_ranges(elements, stored, is_rescaled), histogram)


def _declared_ranges(
    elements: FrameElements, stored: Values, is_rescaled: bool
) -> tuple[IntensityRange, ...]:
    """Return the intensity ranges that the file declares for a grey frame, in order of precedence."""
    dataset = elements.dataset
    ranges = list[IntensityRange]()
    if tables := dataset.get("VOILUTSequence"):
        entries, first, bits = dicom_tables.read_lut(dataset, tables[0].LUTDescriptor, tables[0].LUTData)
        ranges.append(IntensityRange(VOI_LUT, (first, bits, *map(int, entries))))
    functions = (str(one.VOILUTFunction).upper() for one in elements.datasets if one.get("VOILUTFunction"))
    function = next(functions, "LINEAR")
    if window := _window(elements, function):
        ranges.append(IntensityRange(WINDOW, window, function))
    if dataset.get("Modality") == "CT" and (is_rescaled or stored.dtype.kind == "i"):
        ranges.append(IntensityRange(CT_BRAIN_WINDOW, intensity.BRAIN_WINDOW, "LINEAR"))
    bits = int(dataset.BitsStored) if stored.dtype.kind == "u" else 16
    if bits <= 8 and stored.max() < 2**bits and not is_rescaled:
        ranges.append(IntensityRange(BITS_STORED, (0, 2**bits - 1)))
    return tuple(ranges)


def _window(elements: FrameElements, function: str) -> tuple[float, float] | None:
    """Return centre and width of the first valid window; add a note where a window is stated but invalid."""
    least_width = 1 if function == "LINEAR" else 1e-6
    for dataset in elements.datasets:
        centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
        for centre, width in zip(centres, widths, strict=False):
            if centre is not None and width is not None and math.isfinite(centre) and width >= least_width:
                return centre, width
        if any(number is not None for number in (*centres, *widths)):
            elements.notes.append("WindowCenter and WindowWidth state no valid window: ignored")
    return None


def _rescale(elements: FrameElements) -> tuple[float, float]:
    """Return slope and intercept of the rescale: 1 and 0 where the file does not state them."""
    slope = first_number(elements.path, elements.datasets, "RescaleSlope")
    intercept = first_number(elements.path, elements.datasets, "RescaleIntercept")
    if slope == 0:
        elements.notes.append("RescaleSlope is 0, which would make all values equal: read as 1")
    return slope or 1.0, intercept or 0.0
