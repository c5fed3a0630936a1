"""Look-up tables (LUTs) of DICOM: modality, values of interest (VOI) and palette."""

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from gliascope.io.intensity import Values
from gliascope.io.tables import apply_lut, lut_bits

_COLOURS = ("Red", "Green", "Blue")


def apply_dicom_lut(dataset: Dataset, item: Dataset, values: Values) -> tuple[Values, int]:
    """Map values by a modality or VOI LUT.

    pydicom's own `apply_voi` (3.0) is not used: it wraps around in tables of more than 256 entries of 8 bits.

    Parameters
    ----------
    dataset
        The data set that holds the table.
    item
        Item of ModalityLUTSequence or VOILUTSequence.
    values
        Stored values, or real values after the modality LUT, of any shape.

    Returns
    -------
    entries
        Entries of the table, uint8 or uint16, in the shape of `values`.
    bits
        Bits that the entries span.

    References
    ----------
    DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    return apply_lut(*read_lut(dataset, item.LUTDescriptor, item.LUTData), values)


def read_lut(dataset: Dataset, descriptor: Any, data: Any) -> tuple[Values, int, int]:
    """Read a look-up table.

    Parameters
    ----------
    dataset
        The data set that holds the table, for its byte order.
    descriptor
        Value of the table's descriptor: number of entries (0 for 65,536), first value mapped, bits of an
        entry.
    data
        Value of the table's data: bytes, or words.

    Returns
    -------
    table
        Entries, uint8 or uint16 (n,).
    first
        The value that the first entry is for, as the file states it.
    bits
        Bits of an entry, as the file states them.
    """
    count, first, bits = (int(number) for number in descriptor)
    return _table(dataset, data, count % 2**16 or 2**16, bits), first, bits


def apply_palette(dataset: Dataset, stored: Values) -> tuple[Values, int]:
    """Return the colours of stored values by the palette, (..., 3), and their bits (PS3.3, C.7.6.3.1.5)."""
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
    """Return unsigned entries. Two entries of 8 bits may be packed in one word."""
    little = dataset.original_encoding[1] is not False
    if not isinstance(data, bytes):
        words = np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF
        data = words.astype("<u2" if little else ">u2").tobytes()
    if bits <= 8 and len(data) < 2 * count and len(data) >= count:
        return np.frombuffer(data, np.uint8)[:count]
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")[:count].astype(np.uint16)
