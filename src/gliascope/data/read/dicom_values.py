"""Stored values of a DICOM file: which bits they are, their sign, and which are padding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, uid
from pydicom.pixels.utils import pixel_array

from gliascope.data.read import isolated, placeholders
from gliascope.data.read.dicom_elements import facts, integer
from gliascope.data.read.intensity import Values

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_ANYWHERE = 0.05
"""Padding in the midst of the values is believed only where it is so much of the picture: a stale element
would punch holes into tissue."""


def decode(path: Path, dataset: FileDataset) -> tuple[Values, NDArray[np.bool_] | None, list[str]]:
    """Stored values, (frames, height, width) or (frames, height, width, 3); which are padding; notes.

    Values are those of BitsStored up to HighBit and signed as PixelRepresentation says, unless they show
    that this cannot be. Padding is None where there is none.
    """
    raw, packed = _decoded(path, dataset)
    stored, notes = raw, list[str]()
    if packed and raw.ndim == 3:
        stored, notes = _field(dataset, raw)
    padding = _padding(dataset, stored, raw) if raw.ndim == 3 else None
    if stored.ndim == 3 and stored.dtype.kind in "ui" and dataset.BitsStored == 16:
        other = _other_sign(stored if padding is None else stored[~padding])
        if other is not None:
            stored = stored.view(other)
            notes.append("PixelRepresentation contradicts the values: they are read with the other sign")
    if padding is None and str(dataset.PhotometricInterpretation).startswith("MONOCHROME"):
        padding = _unstated_padding(stored)
    return stored, padding, notes


def _unstated_padding(stored: Values) -> NDArray[np.bool_] | None:
    """Placeholders above all else, which no window would make black."""
    if stored.max() not in placeholders.HIGH:
        return None
    _, ceiling = placeholders.measured_range(placeholders.sample([stored]))
    return stored > ceiling if ceiling < np.inf else None


def _decoded(path: Path, dataset: FileDataset) -> tuple[Values, bool]:
    """Values as they are decoded; also whether BitsStored and HighBit are still to be applied."""
    syntax = dataset.file_meta.TransferSyntaxUID
    packed = False
    # Not `iter_pixels`: pydicom 3.0 fails there on signed JPEG 2000, whose sign it mends in place.
    if not syntax.is_encapsulated or syntax == uid.RLELossless:
        packed = (
            "PixelData" in dataset and dataset.SamplesPerPixel == 1 and dataset.BitsAllocated in (8, 16, 32)
        )
        stored = pixel_array(dataset, allow_excess_frames=False, correct_unused_bits=not packed)
    elif syntax in _JPEG or (syntax in uid.JPEG2000TransferSyntaxes and dataset.SamplesPerPixel == 1):
        stored = pixel_array(dataset, allow_excess_frames=False, decoding_plugin="pillow")
    else:
        stored = isolated.pixel_array(path)
    return stored if int(dataset.get("NumberOfFrames") or 1) > 1 else stored[np.newaxis], packed


def _field(dataset: Dataset, raw: Values) -> tuple[Values, list[str]]:
    """The bits that hold the value (PS3.5 8.1.1): BitsStored up to HighBit, where the values allow for it."""
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = dataset.get("HighBit")
    shift = bits - 1 if high is None else int(high)
    shift = min(max(shift + 1 - bits, 0), allocated - bits)
    if bits == allocated:
        return raw, []
    signed = raw.dtype.kind == "i"
    pattern = raw.view(f"u{raw.dtype.itemsize}")
    notes = []
    if shift and pattern.max() >> bits == 0 and (pattern & (2**shift - 1)).any():
        shift = 0
        notes.append("HighBit contradicts the values: they are read as the lowest bits")
    above = raw >> bits if shift == 0 else np.zeros(1, np.intp)  # of signed values, sign bits
    if not (np.isin(above, (0, -1)) if signed else above == 0).all() and not _overlays(dataset):
        padding = _padding(dataset, raw, raw)
        if padding is None or not (np.isin(above, (0, -1)) if signed else above == 0)[~padding].all():
            return raw, ["BitsStored contradicts the values: all allocated bits are read"]
    left = allocated - bits - shift
    return (raw << left) >> (left + shift), notes


def _overlays(dataset: Dataset) -> bool:
    """Whether overlays lie in the bits that hold no value (retired: PS3.3-2004 C.9.2)."""
    groups = range(0x6000, 0x6020, 2)
    return any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in groups)


def _padding(dataset: Dataset, stored: Values, raw: Values) -> NDArray[np.bool_] | None:
    """Which values are PixelPaddingValue, or between it and PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2).

    The elements count by their bits, whatever sign their value representation claims.
    """
    found = np.zeros(stored.shape, np.bool_)
    for low, high in _padding_ranges(dataset, stored.dtype):
        found |= (stored >= low) & (stored <= high)
        if raw is not stored:
            found |= (raw >= low) & (raw <= high)
    count = np.count_nonzero(found)
    if not count or count == found.size:
        return None
    others = stored[~found]
    beyond = min((others < stored[found].min()).mean(), (others > stored[found].max()).mean())
    return found if beyond <= 0.01 or count >= _ANYWHERE * found.size else None


def _padding_ranges(dataset: Dataset, dtype: np.dtype[Any]) -> Iterator[tuple[float, float]]:
    """Lowest and highest padded value, as all allocated bits say it and as those stored say it."""
    if dtype.kind == "f":
        prefix = "Float" if dtype.itemsize == 4 else "DoubleFloat"
        if value := facts(dataset, f"{prefix}PixelPaddingValue")[:1]:
            limit = facts(dataset, f"{prefix}PixelPaddingRangeLimit")[:1] or value
            low, high = np.sort(np.array([*value, *limit], dtype)).tolist()
            yield low, high
        return
    first, last = integer(dataset, "PixelPaddingValue"), integer(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return
    for bits in {int(dataset.BitsAllocated), int(dataset.BitsStored)}:
        if first < 2**bits:
            ends = (_as(end, bits, dtype.kind == "i") for end in (first, first if last is None else last))
            low, high = sorted(ends)
            yield low, high


def _as(value: int, bits: int, signed: bool) -> int:
    """What the lowest `bits` of a value say, if they are read with or without a sign."""
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def _other_sign(values: Values) -> str | None:
    """The data type of the other sign, if 16 bits read with this one tear one range of values in two.

    Values on both sides of the tear, with nothing at a distance from it, are numbers below zero read without
    sign, or numbers above 32767 read with one.
    """
    if values.dtype.itemsize != 2 or not values.size:
        return None
    counts = np.bincount(values.reshape(-1).view(np.uint16) >> 12, minlength=16) / values.size
    if values.dtype.kind == "u":
        torn = counts[0] > 0.01 and counts[15] > 0.01 and counts[4:12].sum() == 0
        edge = values >= 0xF000
        return "i2" if torn and len(np.unique(values[edge])) > 16 else None
    torn = counts[7] > 0.001 and counts[8] > 0.001 and counts[0] > 0.01 and counts[15] == 0
    return "u2" if torn else None
