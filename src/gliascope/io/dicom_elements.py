"""Numbers in DICOM elements, also where they are written as the standard forbids."""

import math
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement

from gliascope.errors import DamagedFileError

_TEXT = {"DS", "IS", "LO", "SH", "CS", "ST", "LT", "UT", "UC", "UN"}


def numbers(dataset: Dataset, name: str) -> list[float | None]:
    """Values of an element: None for an empty one, NaN for one that is no finite number, [] if it is absent.

    Text is read as it stands in the file, since pydicom refuses a decimal comma or a closing null byte.
    """
    try:
        element = dataset.get_item(name)
    except KeyError:
        return []
    if element is None or element.value is None:
        return []
    value: Any = element.value
    if isinstance(element, RawDataElement):
        if (element.VR or dictionary_VR(element.tag)) in _TEXT:
            value = bytes(value).decode("latin-1").split("\\")
        else:
            value = dataset[name].value
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    return [_number(one) for one in several]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.partition("\0")[0].strip()
        if not value:
            return None
        value = value.replace("_", "?")  # which Python's float takes
        if value.count(",") == 1 and "." not in value:
            value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def finite_numbers(dataset: Dataset, name: str) -> list[float]:
    """Values of an element that a file can do without; [] unless all are finite numbers."""
    values = numbers(dataset, name)
    return (
        [] if any(value is None or math.isnan(value) for value in values) else [float(v or 0) for v in values]
    )


def first_number(path: Any, datasets: Sequence[Dataset], name: str) -> float | None:
    """First value of an element in the first place that states one; None where it is absent or empty.

    Raises DamagedFileError, naming the element, if that is no number.
    """
    value = next((value for place in datasets for value in numbers(place, name) if value is not None), None)
    if value is not None and math.isnan(value):
        remedy = f"{name}: correct that element, or export the file again"
        raise DamagedFileError(path, "a DICOM element is no number", remedy)
    return value


def integer(dataset: Dataset, name: str) -> int | None:
    """A whole number of one element, whatever value representation it claims; None if there is none."""
    try:
        element = dataset.get_item(name)
    except KeyError:
        return None
    value: Any = None if element is None else element.value
    binary = element is not None and (element.VR == "UN" or element.VR not in _TEXT)
    if binary and isinstance(value, bytes) and len(value) in (2, 4):
        little = element.is_little_endian if isinstance(element, RawDataElement) else dataset.is_little_endian
        return int.from_bytes(value, "little" if little is not False else "big")
    found = next((one for one in numbers(dataset, name) if one is not None), None)
    return int(found) if found is not None and math.isfinite(found) else None
