"""Look-up tables of DICOM: modality, VOI and palette."""

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from gliascope.data.read import placeholders
from gliascope.data.read.intensity import Values

_COLOURS = ("Red", "Green", "Blue")


def look_up(dataset: Dataset, item: Dataset, values: Values) -> tuple[Values, int]:
    """Map values by a modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1); return entries and their bits.

    pydicom's own `apply_voi` (3.0) wraps around at 256 in tables of more 8-bit entries than that.
    """
    return _mapped(dataset, item.LUTDescriptor, item.LUTData, values)


def palette(dataset: Dataset, stored: Values) -> tuple[Values, int]:
    """Colours of stored values by the palette (PS3.3 C.7.6.3.1.5), and their bits."""
    if "RedPaletteColorLookupTableData" not in dataset:  # segmented
        colours = apply_color_lut(stored, dataset)[..., :3]
        return colours, _bits(colours, int(dataset.RedPaletteColorLookupTableDescriptor[2]))
    channels = []
    for name in _COLOURS:
        descriptor, data = (
            dataset[f"{name}PaletteColorLookupTable{half}"].value for half in ("Descriptor", "Data")
        )
        channels.append(_mapped(dataset, descriptor, data, stored))
    return np.stack([entries for entries, _ in channels], axis=-1), max(bits for _, bits in channels)


def _mapped(dataset: Dataset, descriptor: Any, data: Any, values: Values) -> tuple[Values, int]:
    count, first, bits = (int(number) for number in descriptor)
    table = _table(dataset, data, count % 2**16 or 2**16, bits)
    wanted = np.rint(np.asarray(values, np.float64))
    at = np.nan_to_num(wanted - _first(first, len(table), wanted), nan=0.0)
    at = np.clip(at, 0, len(table) - 1).astype(np.intp)
    return table[at], _bits(table, bits)


def _table(dataset: Dataset, data: Any, count: int, bits: int) -> Values:
    """Entries, without sign; two of 8 bits may be packed in a word."""
    little = dataset.original_encoding[1] is not False
    if not isinstance(data, bytes):
        words = np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF
        data = words.astype("<u2" if little else ">u2").tobytes()
    if bits <= 8 and len(data) < 2 * count and len(data) >= count:
        return np.frombuffer(data, np.uint8)[:count]
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")[:count].astype(np.uint16)


def _first(first: int, count: int, values: Values) -> int:
    """The first value that a table maps, with the sign that makes it fit more of the values.

    Its sign is that of what the table is applied to (PS3.3 C.11.1.1.1, C.11.2.1.1), but its value
    representation follows PixelRepresentation in some files, and in implicit ones is not there at all.
    """
    looked_at = placeholders.sample([values])

    def fitting(start: int) -> int:
        return int(np.count_nonzero((looked_at >= start) & (looked_at < start + count)))

    return max((first, first - 2**16 if first >= 0 else first + 2**16), key=fitting)


def _bits(entries: Values, bits: int) -> int:
    """Bits that entries span: as stated, unless the largest is beyond them or leaves three quarters idle."""
    used = int(entries.max()).bit_length()
    return bits if bits - 2 < used <= bits else max(used, 1)
