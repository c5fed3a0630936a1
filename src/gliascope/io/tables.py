"""Look-up tables (LUTs) applied to the values of an image, as DICOM uses them."""

import numpy as np

from gliascope.io.intensity import Values
from gliascope.io.placeholders import sample_values


def apply_lut(table: Values, first: int, bits: int, values: Values) -> tuple[Values, int]:
    """Map values by a look-up table.

    Parameters
    ----------
    table
        Entries of the table, uint8 or uint16 (n,).
    first
        The value that the first entry is for. All lower values map to the first entry, all values beyond the
        table to the last. `first` may be off by 2**16 where a file states it with the wrong sign.
    bits
        Bits of an entry, as the file states them.
    values
        Values of any shape. NaN maps to the first entry.

    Returns
    -------
    entries
        One entry for each value, in the shape of `values`.
    bits
        Bits that the entries span (`lut_bits`).

    Examples
    --------
    >>> import numpy as np
    >>> apply_lut(np.array([10, 20, 200], np.uint8), 100, 8, np.array([99, 101, 500]))
    (array([ 10,  20, 200], dtype=uint8), 8)
    """
    rounded = np.rint(np.asarray(values, np.float64))
    index = np.nan_to_num(rounded - _first_value(first, len(table), rounded), nan=0.0)
    index = np.clip(index, 0, len(table) - 1).astype(np.intp)
    return table[index], lut_bits(table, bits)


def _first_value(first: int, count: int, values: Values) -> int:
    """Return `first`, or `first` read with the other sign, whichever puts more of the values in the table.

    The standard gives it the sign of the values that the table is applied to (PS3.3 C.11.1.1.1, C.11.2.1.1).
    Some files write it with the sign of PixelRepresentation, and files of implicit VR do not state a sign.
    """
    sample = sample_values([values])

    def values_in_table(start: int) -> int:
        return int(np.count_nonzero((sample >= start) & (sample < start + count)))

    return max((first, first - 2**16 if first >= 0 else first + 2**16), key=values_in_table)


def lut_bits(entries: Values, bits: int) -> int:
    """Return the bits that entries span.

    These are the stated `bits`, unless the largest entry exceeds them or is below a quarter of their range:
    then they are the bits of the largest entry.

    Examples
    --------
    >>> import numpy as np
    >>> lut_bits(np.array([0, 200]), 8), lut_bits(np.array([0, 200]), 16)
    (8, 8)
    """
    used = int(entries.max()).bit_length()
    return bits if bits - 2 < used <= bits else max(used, 1)
