"""Look-up tables of DICOM: modality, VOI and palette."""

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from gliascope.io.intensity import Values
from gliascope.io.tables import apply_lut, lut_bits

_COLOURS = ("Red", "Green", "Blue")


def apply_dicom_lut(dataset: Dataset, item: Dataset, values: Values) -> tuple[Values, int]:
    """Map values by a modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1); return entries and their bits.

    pydicom's own `apply_voi` (3.0) wraps around at 256 in tables of more 8-bit entries than that.
    """
    return apply_lut(*read_lut(dataset, item.LUTDescriptor, item.LUTData), values)


def read_lut(dataset: Dataset, descriptor: Any, data: Any) -> tuple[Values, int, int]:
    """Entries of a table, uint16 or uint8, the value that the first is for, and their bits, as stated."""
    count, first, bits = (int(number) for number in descriptor)
    return _table(dataset, data, count % 2**16 or 2**16, bits), first, bits


def apply_palette(dataset: Dataset, stored: Values) -> tuple[Values, int]:
    """Colours of stored values by the palette (PS3.3 C.7.6.3.1.5), and their bits."""
    if "RedPaletteColorLookupTableData" not in dataset:  # segmented
        colours = apply_color_lut(stored, dataset)[..., :3]
        return colours, lut_bits(colours, int(dataset.RedPaletteColorLookupTableDescriptor[2]))
    channels = []
    for name in _COLOURS:
        descriptor, data = (
            dataset[f"{name}PaletteColorLookupTable{half}"].value for half in ("Descriptor", "Data")
        )
        channels.append(apply_lut(*read_lut(dataset, descriptor, data), stored))
    return np.stack([entries for entries, _ in channels], axis=-1), max(bits for _, bits in channels)


def _table(dataset: Dataset, data: Any, count: int, bits: int) -> Values:
    """Entries, without sign; two of 8 bits may be packed in a word."""
    little = dataset.original_encoding[1] is not False
    if not isinstance(data, bytes):
        words = np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF
        data = words.astype("<u2" if little else ">u2").tobytes()
    if bits <= 8 and len(data) < 2 * count and len(data) >= count:
        return np.frombuffer(data, np.uint8)[:count]
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")[:count].astype(np.uint16)
