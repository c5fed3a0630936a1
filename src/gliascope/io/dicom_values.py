"""Stored values of a DICOM file: which bits they are, their sign, and which are padding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, uid
from pydicom.pixels.utils import pixel_array

from gliascope.io import isolated, placeholders
from gliascope.io.dicom_elements import finite_numbers, integer
from gliascope.io.intensity import Values

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_LEVELS = 16
"""So many values and fewer are placeholders, not one end of a range."""

_ANYWHERE = 0.05
"""Padding in the midst of the values is believed only where it is so much of the picture: a stale element
would punch holes into tissue."""


def stored_values(path: Path, dataset: FileDataset) -> tuple[Values, NDArray[np.bool_] | None, list[str]]:
    """Stored values, (frames, height, width) or (frames, height, width, 3); which are padding; notes.

    Values are those of BitsStored up to HighBit and signed as PixelRepresentation says, unless they show
    that this cannot be. Padding is None where there is none.
    """
    raw, packed = _decoded(path, dataset)
    stored, notes = raw, list[str]()
    if packed:
        stored, notes = _field(dataset, raw)
    padding = _padding(dataset, stored, raw) if raw.ndim == 3 else None
    if stored.ndim == 3 and stored.dtype.kind in "ui":
        # Of values that BitsStored contradicts, all bits are read.
        bits = 16 if stored is raw else int(dataset.BitsStored)
        if _is_other_sign(stored if padding is None else stored[~padding], raw, bits):
            stored = _turned(stored, bits)
            notes.append("PixelRepresentation contradicts the values: they are read with the other sign")
    if padding is None and str(dataset.PhotometricInterpretation).startswith("MONOCHROME"):
        padding = _unstated_padding(stored)
    return stored, padding, notes


def _unstated_padding(stored: Values) -> NDArray[np.bool_] | None:
    """Placeholders above all else, which no window would make black."""
    if stored.max() not in placeholders.HIGH_PLACEHOLDERS:
        return None
    _, ceiling = placeholders.measured_range(placeholders.sample_values([stored]))
    return stored > ceiling if ceiling < np.inf else None


def _decoded(path: Path, dataset: FileDataset) -> tuple[Values, bool]:
    """Values as they are decoded; also whether BitsStored and HighBit are still to be applied."""
    syntax = dataset.file_meta.TransferSyntaxUID
    packed = False
    # Not `iter_pixels`: pydicom 3.0 fails there on signed JPEG 2000, whose sign it mends in place.
    if not syntax.is_encapsulated or syntax == uid.RLELossless:
        packed = "PixelData" in dataset and dataset.BitsAllocated in (8, 16, 32)
        stored = pixel_array(dataset, allow_excess_frames=False, correct_unused_bits=not packed)
    elif _pillow_decodes(dataset):
        stored = pixel_array(dataset, allow_excess_frames=False, decoding_plugin="pillow")
    else:
        stored = isolated.pixel_array(path)
    return stored if int(dataset.get("NumberOfFrames") or 1) > 1 else stored[np.newaxis], packed


def _pillow_decodes(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax in _JPEG or (syntax in uid.JPEG2000TransferSyntaxes and dataset.SamplesPerPixel == 1)


def needs_file(dataset: Dataset) -> bool:
    """Whether another process decodes these pixels, which reads them from a file."""
    syntax = uid.UID(str(dataset.file_meta.TransferSyntaxUID))
    in_process = not syntax.is_transfer_syntax or not syntax.is_encapsulated or syntax == uid.RLELossless
    return not in_process and not (dataset.get("SamplesPerPixel") and _pillow_decodes(dataset))


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
        if value := finite_numbers(dataset, f"{prefix}PixelPaddingValue")[:1]:
            limit = finite_numbers(dataset, f"{prefix}PixelPaddingRangeLimit")[:1] or value
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


def _is_other_sign(values: Values, raw: Values, bits: int) -> bool:
    """Whether `bits` read with this sign tear one range of values in two, which the other sign would join.

    Values on both sides of the tear, with nothing at a distance from it, are numbers below zero read without
    sign, or numbers from the upper half read with one. raw: with all bits; negative numbers there have a sign
    indeed.
    """
    if values.dtype.itemsize != 2 or not values.size or not 12 <= bits <= 16:
        return False
    sixteenth = (values.reshape(-1).view(np.uint16) & (2**bits - 1)) >> (bits - 4)
    shares = np.bincount(sixteenth, minlength=16) / values.size
    edge = 15 << (bits - 4)
    if values.dtype.kind == "u":
        torn = shares[0] > 0.01 and shares[15] > 0.01 and _has_gap(shares)
        return bool(torn and len(np.unique(values[values >= edge])) > _LEVELS)
    if shares[0] <= 0.01 or shares[15] > 0 or (bits < 16 and raw.min() < 0):
        return False
    if bits == 16:
        return bool(shares[7] > 0.001 and shares[8] > 0.001)
    return bool(shares[8:].sum() > 0.001 and len(np.unique(values[values < 0])) > _LEVELS)


def _has_gap(shares: NDArray[np.float64]) -> bool:
    """Whether half of the range is empty in one stretch, as between low positive and low negative numbers."""
    return "0" * 8 in "".join("1" if share else "0" for share in shares)


def _turned(values: Values, bits: int) -> Values:
    """The same bits, read with the other sign."""
    if values.dtype.kind == "i":
        return values.view(np.uint16) & np.uint16(2**bits - 1)
    return (values << (16 - bits)).view(np.int16) >> (16 - bits)
