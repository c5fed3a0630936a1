"""Elements that decoding needs: read, completed where only one value is possible, or refused by name."""

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from pydicom import DataElement, Dataset, FileDataset, uid
from pydicom.datadict import tag_for_keyword

from gliascope.errors import DamagedFileError, NotAnImageError

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_CHANNELS = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3,
    "YBR_PARTIAL_420": 3, "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip
_SPELLINGS = {name.replace(" ", "").replace("_", ""): name for name in _CHANNELS}
_REMEDY = "export the file again, or set the element, e.g. by dcmodify"


def complete_elements(path: Path, dataset: FileDataset) -> None:
    """Set each missing element that decoding needs, if the file leaves one possible value; else refuse."""
    keyword = next(name for name in PIXEL_KEYWORDS if name in dataset)
    for name in ("Rows", "Columns"):
        if _integer(path, dataset, name) is None:
            refuse_missing(path, name)
    channels = _integer(path, dataset, "SamplesPerPixel")
    colour = _photometric(path, dataset, channels)
    if channels is None:
        channels = dataset.SamplesPerPixel = _CHANNELS[colour]
    elif channels != _CHANNELS[colour]:
        detail = f"SamplesPerPixel is {channels}, PhotometricInterpretation {colour}"
        raise DamagedFileError(path, "DICOM elements contradict each other", detail)
    if colour == "PALETTE COLOR":
        _check_palette(path, dataset)
    frames = _integer(path, dataset, "NumberOfFrames")
    if frames == 0 or (frames is None and "NumberOfFrames" in dataset):
        del dataset.NumberOfFrames  # without it, there is one frame
    if keyword in _FLOAT_BITS:
        dataset.BitsAllocated = _FLOAT_BITS[keyword]
        return
    _complete_bits(path, dataset, dataset.Rows * dataset.Columns * channels * (frames or 1))
    planar = _integer(path, dataset, "PlanarConfiguration")
    if channels > 1 and planar is None:
        if not is_native(dataset) or colour == "YBR_FULL_422":
            dataset.PlanarConfiguration = 0
        else:
            refuse_missing(path, "PlanarConfiguration", "0 for colour by pixel, 1 for colour by plane")


def refuse_missing(path: Path, name: str, reason: str = "") -> NoReturn:
    """Raise NotAnImageError for a missing element.

    Parameters
    ----------
    path
        The file.
    name
        Keyword of the element. The message names it with its tag and a remedy.
    reason
        Further words for the message, such as the values to choose from.
    """
    detail = "; ".join(filter(None, (_with_tag(name), reason, _REMEDY)))
    raise NotAnImageError(path, "DICOM element missing", detail)


def is_native(dataset: FileDataset) -> bool:
    """Whether the pixels are not compressed."""
    syntax = uid.UID(dataset.file_meta.TransferSyntaxUID)
    return syntax.is_transfer_syntax and not syntax.is_encapsulated


def text_of(dataset: Dataset, name: str) -> str:
    """Return an element as text without padding; empty where it is absent."""
    value: Any = dataset.get(name)
    return "" if value is None else str(value).strip(" \0\t\r\n")


def _check_palette(path: Path, dataset: FileDataset) -> None:
    """Refuse a palette with a missing table."""
    for table in (f"{shade}PaletteColorLookupTable" for shade in ("Red", "Green", "Blue")):
        if f"{table}Descriptor" not in dataset:
            refuse_missing(path, f"{table}Descriptor")
        if f"{table}Data" not in dataset and f"Segmented{table}Data" not in dataset:
            refuse_missing(path, f"{table}Data")


def _photometric(path: Path, dataset: FileDataset, channels: int | None) -> str:
    """Return PhotometricInterpretation, and set it, in the standard's spelling."""
    written = text_of(dataset, "PhotometricInterpretation")
    if not written:
        refuse_missing(
            path, "PhotometricInterpretation", "MONOCHROME1 or MONOCHROME2" if channels == 1 else ""
        )
    standard = _SPELLINGS.get(written.upper().replace(" ", "").replace("_", ""))
    if standard is None:
        detail = f"{_with_tag('PhotometricInterpretation')} is not one of {', '.join(_CHANNELS)}; {_REMEDY}"
        raise NotAnImageError(path, "DICOM element not supported", detail)
    dataset.PhotometricInterpretation = standard
    return standard


def _complete_bits(path: Path, dataset: FileDataset, count: int) -> None:
    """Set BitsAllocated, BitsStored, HighBit and PixelRepresentation of pixels of `count` numbers."""
    stored, high = (_integer(path, dataset, name) for name in ("BitsStored", "HighBit"))
    allocated = _integer(path, dataset, "BitsAllocated")
    if allocated is None:
        length = len(dataset.PixelData or b"") if is_native(dataset) else 0
        fitting = [bits for bits in (8, 16, 32) if length in {count * bits // 8, count * bits // 8 + 1}]
        if len(fitting) != 1 or fitting[0] < (stored or 1):
            refuse_missing(path, "BitsAllocated")
        allocated = dataset.BitsAllocated = fitting[0]
    if stored is None:
        stored = dataset.BitsStored = allocated if high is None else high + 1
    if high is None:
        dataset.HighBit = stored - 1
    if _integer(path, dataset, "PixelRepresentation") is None:
        if not _is_unsigned(dataset, allocated, stored):
            refuse_missing(path, "PixelRepresentation", "0 for unsigned values, 1 for signed ones")
        dataset.PixelRepresentation = 0
    if allocated not in (1, 8, 16, 32, 64):
        detail = f"{_with_tag('BitsAllocated')} is {allocated}; {_REMEDY}"
        raise NotAnImageError(path, "DICOM element not supported", detail)
    if not 1 <= stored <= allocated or dataset.PixelRepresentation not in (0, 1):
        names = ("BitsAllocated", "BitsStored", "PixelRepresentation")
        detail = ", ".join(f"{name} is {dataset[name].value}" for name in names)
        raise DamagedFileError(path, "DICOM elements contradict each other", detail)


def _is_unsigned(dataset: FileDataset, allocated: int, stored: int) -> bool:
    """Whether the pixels can only be unsigned, or are the same numbers with and without a sign."""
    if stored <= 8 or dataset.SamplesPerPixel > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR":
        return True
    if not is_native(dataset) or allocated not in (16, 32):
        return False
    order = "<" if dataset.original_encoding[1] else ">"
    size = allocated // 8
    data = dataset.PixelData or b""
    numbers = np.frombuffer(data[: len(data) // size * size], f"{order}u{size}")
    return bool(numbers.size) and int(numbers.max()) < 2 ** (stored - 1)


def _integer(path: Path, dataset: FileDataset, name: str) -> int | None:
    """Return an element as a whole number, and set it to that; None where it is absent or empty."""
    number: int | None = None
    try:
        value: Any = dataset.get(name)
        if isinstance(value, bytes):  # its value representation (VR) is UN or missing
            value = _from_bytes(value, is_text=name == "NumberOfFrames", little=dataset.original_encoding[1])
        if isinstance(value, str):
            value = float(value.strip(" \0")) if value.strip(" \0") else None
        if value is not None:
            number = int(value)
            valid = number == float(value)
        else:
            valid = True
    except Exception:
        valid = False
    if not valid:
        detail = f"{_with_tag(name)} is no whole number; {_REMEDY}"
        raise DamagedFileError(path, "DICOM element unreadable", detail)
    if number is not None:
        vr = "IS" if name == "NumberOfFrames" else "US"
        dataset[name] = DataElement(tag_for_keyword(name) or 0, vr, number)
    return number


def _from_bytes(value: bytes, is_text: bool, little: bool | None) -> str | int | None:
    if is_text:
        return value.decode("ascii")
    return int.from_bytes(value, "little" if little else "big") if value else None


def _with_tag(name: str) -> str:
    """Return a keyword with its tag, such as "Rows (0028,0010)"."""
    tag = tag_for_keyword(name) or 0
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
