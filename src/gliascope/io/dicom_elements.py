"""Numbers in DICOM elements, also where a file writes them against the standard."""

import math
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement

from gliascope.errors import DamagedFileError

_TEXT_VRS = {"DS", "IS", "LO", "SH", "CS", "ST", "LT", "UT", "UC", "UN"}


def numbers(dataset: Dataset, name: str) -> list[float | None]:
    """Return the values of an element of numbers.

    Text is parsed here and not by pydicom, which refuses a decimal comma and a closing null byte.

    Parameters
    ----------
    dataset
        A data set or an item of a sequence.
    name
        Keyword of the element, such as "WindowCenter".

    Returns
    -------
    list of float or None
        None for an empty value, NaN for a value that is no finite number; an empty list if the element is
        absent or has no value.
    """
    try:
        element = dataset.get_item(name)
    except KeyError:
        return []
    if element is None or element.value is None:
        return []
    value: Any = element.value
    if isinstance(element, RawDataElement):
        if (element.VR or dictionary_VR(element.tag)) in _TEXT_VRS:
            value = bytes(value).decode("latin-1").split("\\")
        else:
            value = dataset[name].value
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.partition("\0")[0].strip()
        if not value:
            return None
        value = value.replace("_", "?")  # float() would accept "1_000"
        if value.count(",") == 1 and "." not in value:
            value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def finite_numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the values of an element; an empty list unless all of them are finite numbers."""
    values = numbers(dataset, name)
    return (
        [] if any(value is None or math.isnan(value) for value in values) else [float(v or 0) for v in values]
    )


def first_number(path: Any, datasets: Sequence[Dataset], name: str) -> float | None:
    """Return the first value of an element in the first data set that states one.

    Parameters
    ----------
    path
        The file, for the error.
    datasets
        Data sets and items of sequences, in order of precedence.
    name
        Keyword of the element.

    Returns
    -------
    float or None
        None where the element is absent or empty in all data sets.

    Raises
    ------
    DamagedFileError
        If that value is no finite number. The error names the element.
    """
    value = next(
        (value for dataset in datasets for value in numbers(dataset, name) if value is not None), None
    )
    if value is not None and math.isnan(value):
        remedy = f"{name}: correct that element, or export the file again"
        raise DamagedFileError(path, "a DICOM element is no number", remedy)
    return value


def integer(dataset: Dataset, name: str) -> int | None:
    """Return the whole number of an element, whatever its value representation; None if there is none."""
    try:
        element = dataset.get_item(name)
    except KeyError:
        return None
    value: Any = None if element is None else element.value
    binary = element is not None and (element.VR == "UN" or element.VR not in _TEXT_VRS)
    if binary and isinstance(value, bytes) and len(value) in (2, 4):
        little = element.is_little_endian if isinstance(element, RawDataElement) else dataset.is_little_endian
        return int.from_bytes(value, "little" if little is not False else "big")
    number = next((number for number in numbers(dataset, name) if number is not None), None)
    return int(number) if number is not None and math.isfinite(number) else None
