"""Stored values of a DICOM file: which bits hold them, whether they have a sign, and which are padding."""

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
_MAX_PLACEHOLDERS = 16
"""At most this many distinct extreme values are placeholders; more are one end of the range of values."""

_MIN_INNER_PADDING = 0.05
"""Padding amid the other values is used only if it covers at least this share of the image: a stale
PixelPaddingValue would otherwise make holes in tissue."""


def stored_values(path: Path, dataset: FileDataset) -> tuple[Values, NDArray[np.bool_] | None, list[str]]:
    """Decode the stored values of a DICOM file.

    A value is the BitsStored bits up to HighBit, with or without a sign as PixelRepresentation states, unless
    the values themselves contradict these elements.

    Parameters
    ----------
    path
        The file. Frames of some transfer syntaxes are decoded from this path by another process.
    dataset
        The data set, as `dicom_file.load` returns it.

    Returns
    -------
    values
        Grey (frames, height, width) or colour (frames, height, width, 3).
    padding
        Boolean array of the same shape, true where a grey value is padding; None if none is.
    notes
        Which elements the values contradict, one sentence each.

    Raises
    ------
    DamagedFileError
        If the frames cannot be decoded.
    Exception
        Whatever pydicom raises on damaged content.
    """
    raw, has_all_bits = _decode(path, dataset)
    stored, notes = raw, list[str]()
    if has_all_bits:
        stored, notes = _stored_bits(dataset, raw)
    padding = _padding(dataset, stored, raw) if raw.ndim == 3 else None
    if stored.ndim == 3 and stored.dtype.kind in "ui":
        # Where the values contradict BitsStored, all allocated bits were read.
        bits = 16 if stored is raw else int(dataset.BitsStored)
        if _is_other_sign(stored if padding is None else stored[~padding], raw, bits):
            stored = _with_other_sign(stored, bits)
            notes.append("PixelRepresentation contradicts the values: they are read with the other sign")
    if padding is None and str(dataset.PhotometricInterpretation).startswith("MONOCHROME"):
        padding = _unstated_padding(stored)
    return stored, padding, notes


def _unstated_padding(stored: Values) -> NDArray[np.bool_] | None:
    """Return where placeholders above all other values are; these would be shown as white."""
    if stored.max() not in placeholders.HIGH_PLACEHOLDERS:
        return None
    _, ceiling = placeholders.measured_range(placeholders.sample_values([stored]))
    return stored > ceiling if ceiling < np.inf else None


def _decode(path: Path, dataset: FileDataset) -> tuple[Values, bool]:
    """Decode the values; also return whether BitsStored and HighBit are still to be applied to them."""
    syntax = dataset.file_meta.TransferSyntaxUID
    has_all_bits = False
    # Not `iter_pixels`: in pydicom 3.0 it fails on signed JPEG 2000, where it corrects the sign in place.
    if not syntax.is_encapsulated or syntax == uid.RLELossless:
        has_all_bits = "PixelData" in dataset and dataset.BitsAllocated in (8, 16, 32)
        stored = pixel_array(dataset, allow_excess_frames=False, correct_unused_bits=not has_all_bits)
    elif _pillow_decodes(dataset):
        stored = pixel_array(dataset, allow_excess_frames=False, decoding_plugin="pillow")
    else:
        stored = isolated.pixel_array(path)
    return stored if int(dataset.get("NumberOfFrames") or 1) > 1 else stored[np.newaxis], has_all_bits


def _pillow_decodes(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax in _JPEG or (syntax in uid.JPEG2000TransferSyntaxes and dataset.SamplesPerPixel == 1)


def needs_file(dataset: Dataset) -> bool:
    """Whether these pixels are decoded by a helper process, which needs them in a file."""
    syntax = uid.UID(str(dataset.file_meta.TransferSyntaxUID))
    in_process = not syntax.is_transfer_syntax or not syntax.is_encapsulated or syntax == uid.RLELossless
    return not in_process and not (dataset.get("SamplesPerPixel") and _pillow_decodes(dataset))


def _stored_bits(dataset: Dataset, raw: Values) -> tuple[Values, list[str]]:
    """Return the BitsStored bits up to HighBit (PS3.5 8.1.1), or other bits with a note if values differ."""
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
    upper = raw >> bits if shift == 0 else np.zeros(1, np.intp)
    is_empty = np.isin(upper, (0, -1)) if signed else upper == 0  # -1: the sign of a negative value
    if not is_empty.all() and not _has_overlay_bits(dataset):
        padding = _padding(dataset, raw, raw)
        if padding is None or not is_empty[~padding].all():
            return raw, ["BitsStored contradicts the values: all allocated bits are read"]
    left = allocated - bits - shift
    return (raw << left) >> (left + shift), notes


def _has_overlay_bits(dataset: Dataset) -> bool:
    """Whether the unused bits of the pixels hold overlays (retired: PS3.3-2004 C.9.2)."""
    groups = range(0x6000, 0x6020, 2)
    return any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in groups)


def _padding(dataset: Dataset, stored: Values, raw: Values) -> NDArray[np.bool_] | None:
    """Return which values are padding, from PixelPaddingValue to PixelPaddingRangeLimit; None if none is.

    The two elements are compared by their bits, whatever sign their value representation gives them
    (PS3.3 C.7.5.1.1.2).
    """
    is_padding = np.zeros(stored.shape, np.bool_)
    for low, high in _padding_ranges(dataset, stored.dtype):
        is_padding |= (stored >= low) & (stored <= high)
        if raw is not stored:
            is_padding |= (raw >= low) & (raw <= high)
    count = np.count_nonzero(is_padding)
    if not count or count == is_padding.size:
        return None
    measured = stored[~is_padding]
    beyond = min((measured < stored[is_padding].min()).mean(), (measured > stored[is_padding].max()).mean())
    return is_padding if beyond <= 0.01 or count >= _MIN_INNER_PADDING * is_padding.size else None


def _padding_ranges(dataset: Dataset, dtype: np.dtype[Any]) -> Iterator[tuple[float, float]]:
    """Yield the lowest and highest padding value, read from the allocated bits and from the stored bits."""
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
            limits = (first, first if last is None else last)
            low, high = sorted(_lowest_bits(limit, bits, dtype.kind == "i") for limit in limits)
            yield low, high


def _lowest_bits(value: int, bits: int, signed: bool) -> int:
    """Return the number in the lowest `bits` bits of a value."""
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def _is_other_sign(values: Values, raw: Values, bits: int) -> bool:
    """Whether the values must be read with the other sign than the file states.

    Read with the wrong sign, one connected range of values falls into two parts at the opposite ends of the
    possible range, with a wide gap between them: negative numbers read as large unsigned ones, or the upper
    half of unsigned numbers read as negative ones.

    Parameters
    ----------
    values
        Values as read with the stated sign.
    raw
        The same values with all allocated bits. If some of these are negative, the values do have a sign.
    bits
        Number of bits that hold a value.
    """
    if values.dtype.itemsize != 2 or not values.size or not 12 <= bits <= 16:
        return False
    sixteenth = (values.reshape(-1).view(np.uint16) & (2**bits - 1)) >> (bits - 4)
    shares = np.bincount(sixteenth, minlength=16) / values.size
    edge = 15 << (bits - 4)
    if values.dtype.kind == "u":
        is_split = shares[0] > 0.01 and shares[15] > 0.01 and _has_gap(shares)
        return bool(is_split and len(np.unique(values[values >= edge])) > _MAX_PLACEHOLDERS)
    if shares[0] <= 0.01 or shares[15] > 0 or (bits < 16 and raw.min() < 0):
        return False
    if bits == 16:
        return bool(shares[7] > 0.001 and shares[8] > 0.001)
    return bool(shares[8:].sum() > 0.001 and len(np.unique(values[values < 0])) > _MAX_PLACEHOLDERS)


def _has_gap(shares: NDArray[np.float64]) -> bool:
    """Whether half of the range is empty in one stretch, as between positive and negative numbers near 0."""
    return "0" * 8 in "".join("1" if share else "0" for share in shares)


def _with_other_sign(values: Values, bits: int) -> Values:
    """Read the same bits with the other sign."""
    if values.dtype.kind == "i":
        return values.view(np.uint16) & np.uint16(2**bits - 1)
    return (values << (16 - bits)).view(np.int16) >> (16 - bits)
