"""Which grey values become black and which white: a window, a look-up table, or percentiles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.io import intensity
from gliascope.io.intensity import Pixels, Values
from gliascope.io.tables import apply_lut

# The kinds of ranges. They are also what notes call them.
PERCENTILES = "percentiles"
WINDOW = "window"
VOI_LUT = "VOI LUT"
CT_BRAIN_WINDOW = "brain window"
BITS_STORED = "full range of BitsStored"

_EVERYTHING = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """How real values become grey levels from 0 to 255.

    A range is plain data, so that equal ranges of different files compare as equal.

    Attributes
    ----------
    kind : str
        PERCENTILES, WINDOW, VOI_LUT, CT_BRAIN_WINDOW or BITS_STORED.
    numbers : tuple of float
        PERCENTILES: the values of black and white, then the lowest and the highest value that is no
        placeholder. VOI_LUT: the first value that the table maps, the bits of its entries, then the entries.
        With a `function`: centre and width of the window. Otherwise: the values of black and white.
    function : str
        LINEAR, LINEAR_EXACT or SIGMOID for a window; empty for all others.
    """

    kind: str
    numbers: tuple[float, ...]
    function: str = ""

    def apply(self, values: Values) -> Pixels:
        """Bring real values to uint8, placeholders included."""
        if self.kind == VOI_LUT:
            first, bits, *table = map(int, self.numbers)
            entries, bits = apply_lut(np.array(table, np.uint16), first, bits, values)
            return intensity.scale_linearly(entries, 0, 2**bits - 1)
        if self.function:
            centre, width = self.numbers
            return intensity.apply_window(values, centre, width, self.function)
        return intensity.scale_linearly(values, *self.numbers[:2])

    def unmeasured(self, values: Values) -> NDArray[np.bool_] | None:
        """Mark values that are placeholders or not finite; None where there can be none of them."""
        low, high = self.numbers[2:] if self.kind == PERCENTILES else _EVERYTHING
        if (low, high) == _EVERYTHING and values.dtype.kind != "f":
            return None
        return ~(np.isfinite(values) & (values >= low) & (values <= high))

    def to_pixels(self, values: Values, inverted: bool = False) -> Pixels:
        """Bring real values to uint8, with placeholders in black.

        Parameters
        ----------
        values
            Real values of one slice, (height, width).
        inverted
            Swap black and white, as MONOCHROME1 asks for. Placeholders stay black.

        Returns
        -------
        ndarray
            uint8, (height, width).
        """
        pixels = self.apply(values)
        unmeasured = self.unmeasured(values)
        pixels = ~pixels if inverted else pixels
        return pixels if unmeasured is None else np.where(unmeasured, np.uint8(0), pixels)
