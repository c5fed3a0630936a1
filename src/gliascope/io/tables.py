"""Look-up tables applied to values, whatever file they come from."""

import numpy as np

from gliascope.io.intensity import Values
from gliascope.io.placeholders import sample_values


def apply_lut(table: Values, first: int, bits: int, values: Values) -> tuple[Values, int]:
    """Map values by a table; return entries, and the bits that these span."""
    wanted = np.rint(np.asarray(values, np.float64))
    at = np.nan_to_num(wanted - _first(first, len(table), wanted), nan=0.0)
    at = np.clip(at, 0, len(table) - 1).astype(np.intp)
    return table[at], lut_bits(table, bits)


def _first(first: int, count: int, values: Values) -> int:
    """The first value that a table maps, with the sign that makes it fit more of the values.

    Its sign is that of what the table is applied to (PS3.3 C.11.1.1.1, C.11.2.1.1), but its value
    representation follows PixelRepresentation in some files, and in implicit ones is not there at all.
    """
    looked_at = sample_values([values])

    def fitting(start: int) -> int:
        return int(np.count_nonzero((looked_at >= start) & (looked_at < start + count)))

    return max((first, first - 2**16 if first >= 0 else first + 2**16), key=fitting)


def lut_bits(entries: Values, bits: int) -> int:
    """Bits that entries span: as stated, unless the largest is beyond them or leaves three quarters idle."""
    used = int(entries.max()).bit_length()
    return bits if bits - 2 < used <= bits else max(used, 1)
