"""One grey scale for all frames of a series: what each file says of its own, and what follows for all."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import DamagedFileError
from gliascope.io import intensity
from gliascope.io.intensity import Pixels, Values
from gliascope.io.placeholders import SAMPLE_SIZE, is_hounsfield, measured_range, sample_values
from gliascope.io.tables import apply_lut

SINGLE_SLICE_NOTE = (
    "one slice of a series by itself: its grey scale may be another than among the other slices; "
    "give all files of the series together"
)
PERCENTILES, WINDOW, VOI_LUT, CT_BRAIN_WINDOW, BITS_STORED = (
    "spread",
    "window",
    "VOI LUT",
    "brain window",
    "full range of BitsStored",
)
_AIR = -200.0
"""In Hounsfield units nothing but air is below."""
_FEW_BYTES = 2  # integers of so many are counted by `bincount`
_EVERYTHING = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """What is shown of values, as data, so that equal ranges of different files are equal.

    numbers: of SPREAD, its ends and the lowest and highest value that is no placeholder; of VOI_LUT, the
    table's first value, bits and entries; else centre and width, or the ends. function: LINEAR, LINEAR_EXACT
    or SIGMOID of a window, "" where `numbers` are the ends.
    """

    kind: str
    numbers: tuple[float, ...]
    function: str = ""

    def apply(self, values: Values) -> Pixels:
        """Bring values to uint8."""
        if self.kind == VOI_LUT:
            first, bits, *table = map(int, self.numbers)
            entries, bits = apply_lut(np.array(table, np.uint16), first, bits, values)
            return intensity.scale_linearly(entries, 0, 2**bits - 1)
        if self.function:
            centre, width = self.numbers
            return intensity.apply_window(values, centre, width, self.function)
        return intensity.scale_linearly(values, *self.numbers[:2])

    def unmeasured(self, values: Values) -> NDArray[np.bool_] | None:
        """Where nothing was measured, which is black; None if that is nowhere."""
        low, high = self.numbers[2:] if self.kind == PERCENTILES else _EVERYTHING
        if (low, high) == _EVERYTHING and values.dtype.kind != "f":
            return None
        return ~(np.isfinite(values) & (values >= low) & (values <= high))

    def to_pixels(self, values: Values, inverted: bool = False) -> Pixels:
        """Apply it, turn black and white round where asked to, and leave black where nothing was measured."""
        pixels = self.apply(values)
        blank = self.unmeasured(values)
        pixels = ~pixels if inverted else pixels
        return pixels if blank is None else np.where(blank, np.uint8(0), pixels)


@dataclass(frozen=True, slots=True)
class SeriesScale:
    """The range of a series: SPREAD with its `numbers`, or the name of one that each file declares."""

    kind: str
    numbers: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """For a table; `Scale.parse` reads it."""
        return json.dumps([self.kind, *self.numbers])

    @classmethod
    def parse(cls, text: str) -> "SeriesScale":
        """Of `text`."""
        name, *numbers = json.loads(text)
        return cls(name, tuple(numbers))

    def range_among(self, declared: Iterable[IntensityRange]) -> IntensityRange | None:
        """As a range, for a frame that declares these."""
        if self.kind == PERCENTILES:
            return IntensityRange(PERCENTILES, self.numbers)
        return next((one for one in declared if one.kind == self.kind), None)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often each value occurs: `values`, float64, ascending, all finite, and `counts`, int64."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def from_values(cls, stored: Values, real: Callable[[Values], Values] = np.asarray) -> "Histogram":
        """Count the values of an array after `real`, a function of each value by itself."""
        if stored.dtype.kind in "iu" and stored.dtype.itemsize <= _FEW_BYTES and stored.size:
            least = int(stored.min())
            found = np.bincount((stored.astype(np.int32) - least).ravel())
            at = np.flatnonzero(found)
            return cls._added(real((at + least).astype(stored.dtype)), found[at])
        values, counts = np.unique(stored, return_counts=True)
        return cls._added(real(values), counts)

    @classmethod
    def merge(cls, parts: Sequence["Histogram"]) -> "Histogram":
        """Of all values together, in whatever order the parts come."""
        values, counts = ([getattr(part, name) for part in parts] for name in ("values", "counts"))
        return cls._added(np.concatenate(values), np.concatenate(counts))

    @classmethod
    def _added(cls, values: Values, counts: NDArray[np.int64]) -> "Histogram":
        values = np.asarray(values, np.float64)
        finite = np.isfinite(values)
        distinct, place = np.unique(values[finite], return_inverse=True)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, place, counts[finite])
        return cls(distinct, total)

    def values_at(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values at these places of all values in order."""
        return self.values[np.searchsorted(np.cumsum(self.counts), places, side="right")]

    def sample(self) -> NDArray[np.float64]:
        """About SAMPLE of all values, evenly taken, in order."""
        step = max(1, int(self.counts.sum()) // SAMPLE_SIZE)
        taken = -(-np.cumsum(self.counts) // step)
        return np.repeat(self.values, np.diff(taken, prepend=0))

    def percentile_range(self) -> IntensityRange | None:
        """The `intensity.spread` of the values without placeholders; None if there is no value."""
        if not len(self.values):
            return None
        floor, ceiling = measured_range(self.sample())
        kept = (self.values >= floor) & (self.values <= ceiling)
        measured = Histogram(self.values[kept], self.counts[kept])
        total = int(measured.counts.sum())
        ends = intensity.interpolate_percentiles(
            measured.values_at(intensity.percentile_positions(total)), total
        )
        return IntensityRange(PERCENTILES, (*(ends or measured.values[[0, -1]].tolist()), floor, ceiling))


@dataclass(frozen=True, slots=True, eq=False)
class IntensityFacts:
    """What some files of a series say of its grey scale.

    series: names what shares a scale; None where the file does not know, and its folder may.
    declared: the ranges that each frame declares, most binding first. counts: of real values, after modality
    LUT or rescale, without padding. hounsfield: whether these are of CT. instance: identity of one file.
    alone: the scale that one file has by itself.
    """

    series: str | None
    declared: frozenset[tuple[IntensityRange, ...]]
    histogram: Histogram
    hounsfield: bool = False
    instance: str = ""
    own_scale: SeriesScale | None = None

    @property
    def is_shared(self) -> bool:
        """Whether its series may give a file another scale: not where values have one of their own."""
        return self.own_scale is not None and self.own_scale.kind in (PERCENTILES, WINDOW, VOI_LUT)

    @classmethod
    def merge(cls, parts: Sequence["IntensityFacts"]) -> "IntensityFacts":
        """Of all their frames together. The order does not matter."""
        return cls(
            parts[0].series,
            frozenset[tuple[IntensityRange, ...]]().union(*(part.declared for part in parts)),
            Histogram.merge([part.histogram for part in parts]),
            all(part.hounsfield for part in parts),
        )

    def common_scale(self) -> SeriesScale | None:
        """The first range that all frames declare alike and that does not hide what they hold, else SPREAD.

        Windows that differ were set slice by slice. Where all values are one, only windows tell what is black
        and white, so each frame has its own. None where there is no value at all.
        """
        chains = sorted(self.declared, key=repr)
        if len(self.histogram.values) < 2 and all(chains):
            return SeriesScale(chains[0][0].kind)
        common = [one for one in chains[0] if all(one in chain for chain in chains)]
        looked_at, notes = self.histogram.sample() if common else np.empty(0), list[str]()
        for one in common:
            air = self.hounsfield and bool(np.mean(looked_at < _AIR) > 0.99)
            if air or not intensity.hides_content([looked_at], [one.apply(looked_at)]):
                return SeriesScale(one.kind, notes=tuple(notes))
            notes.append(f"the {one.kind} shows next to nothing: passed over")
        spread = self.histogram.percentile_range()
        return SeriesScale(PERCENTILES, spread.numbers, tuple(notes)) if spread else None


def scale_by_percentiles(
    path: Path, images: Sequence[Values], rescale: Callable[[Values], Values] = np.asarray
) -> list[Pixels]:
    """Bring the slices (height, width) of one volume to uint8 on one scale, the spread of all their values.

    real: a linear function that makes real values of stored ones. This is how every format does it that
    states no window, and any array can. Raises DamagedFileError if no value is finite.
    """
    if all(image.dtype.kind in "iu" and image.dtype.itemsize <= _FEW_BYTES for image in images):
        found = Histogram.merge(
            [Histogram.from_values(image, rescale) for image in images]
        ).percentile_range()
        if found is None:
            raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
        return [found.to_pixels(rescale(image)) for image in images]
    floor, ceiling = measured_range(rescale(sample_values(images)))

    def measured(image: Values) -> Values:
        values = rescale(image)
        if (floor, ceiling) == _EVERYTHING:
            return values
        return np.where((values >= floor) & (values <= ceiling), values, np.nan)

    if (floor, ceiling) == _EVERYTHING:
        low, high = intensity.percentile_range(path, images, rescale)
    else:
        low, high = intensity.percentile_range(path, [measured(image) for image in images])
    if not np.isfinite([low, high]).all():
        raise DamagedFileError(path, "no finite value", "the header's slope takes them beyond any float")
    return [intensity.scale_linearly(measured(image), low, high) for image in images]


def brain_window_if_ct(
    images: Values | Sequence[Values], rescale: Callable[[Values], Values] = np.asarray
) -> list[Pixels] | None:
    """Slices (height, width) of one volume in the brain window, if their values look like Hounsfield units.

    None where they do not (`placeholders.hounsfield`), or where the window hides what they hold. For values
    of which no file says what they mean. real: a linear function that makes real values of stored ones.
    """
    if not is_hounsfield(rescale(sample_values([images] if isinstance(images, np.ndarray) else images))):
        return None
    windowed = [intensity.apply_window(rescale(image), *intensity.BRAIN_WINDOW) for image in images]
    return None if intensity.hides_content([rescale(image) for image in images], windowed) else windowed
