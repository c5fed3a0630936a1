"""One grey scale for all slices of a series, found from what each of its files says of its grey values."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gliascope.errors import DamagedFileError
from gliascope.io import intensity
from gliascope.io.histogram import Histogram, is_short_integer
from gliascope.io.intensity import Pixels, Values
from gliascope.io.intensity_range import PERCENTILES, VOI_LUT, WINDOW, IntensityRange
from gliascope.io.placeholders import is_hounsfield, measured_range, sample_values

SINGLE_SLICE_NOTE = (
    "one slice of a series by itself: its grey scale may be another than among the other slices; "
    "give all files of the series together"
)
_MAX_AIR_HU = -200.0
"""Nothing but air is below this value in Hounsfield units."""
_EVERYTHING = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class SeriesScale:
    """The grey scale that all slices of a series share.

    Attributes
    ----------
    kind : str
        Kind of an IntensityRange. For PERCENTILES, `numbers` is the range itself. For any other kind, each
        slice uses the range of that kind that its own file declares.
    numbers : tuple of float
        As in IntensityRange for PERCENTILES; empty for other kinds.
    notes : tuple of str
        Which declared ranges were not used, and why. They do not count when two scales are compared.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The scale as JSON, for a column of a table; `SeriesScale.parse` reads it."""
        return json.dumps([self.kind, *self.numbers])

    @classmethod
    def parse(cls, text: str) -> "SeriesScale":
        """Read what `SeriesScale.text` wrote."""
        kind, *numbers = json.loads(text)
        return cls(kind, tuple(numbers))

    def range_among(self, declared: Iterable[IntensityRange]) -> IntensityRange | None:
        """Return the range of a slice whose file declares these; None if none is of the scale's kind."""
        if self.kind == PERCENTILES:
            return IntensityRange(PERCENTILES, self.numbers)
        return next((one for one in declared if one.kind == self.kind), None)


@dataclass(frozen=True, slots=True, eq=False)
class IntensityFacts:
    """What one or several files of a series say of their grey values.

    Attributes
    ----------
    series : str or None
        Identifies the series. None where the file does not name one; its folder may then tell.
    declared : frozenset of tuple of IntensityRange
        For each slice the ranges that its file declares, the most binding first. Equal tuples occur once.
    histogram : Histogram
        Real values, after modality LUT or rescale, without padding.
    hounsfield : bool
        Whether the values are of CT.
    instance : str
        Identifies the file, so that a copy of the file is not counted twice. Empty for several files.
    own_scale : SeriesScale or None
        The scale that the file has where no other file of its series is at hand.
    """

    series: str | None
    declared: frozenset[tuple[IntensityRange, ...]]
    histogram: Histogram
    hounsfield: bool = False
    instance: str = ""
    own_scale: SeriesScale | None = None

    @property
    def is_shared(self) -> bool:
        """Whether the file's scale could be another one beside other files of its series.

        It could not for Hounsfield units in the brain window, nor for 8-bit values meant for display.
        """
        return self.own_scale is not None and self.own_scale.kind in (PERCENTILES, WINDOW, VOI_LUT)

    @classmethod
    def merge(cls, facts: Sequence["IntensityFacts"]) -> "IntensityFacts":
        """Put together the facts of several files of one series; their order does not matter."""
        return cls(
            facts[0].series,
            frozenset[tuple[IntensityRange, ...]]().union(*(one.declared for one in facts)),
            Histogram.merge([one.histogram for one in facts]),
            all(one.hounsfield for one in facts),
        )

    def common_scale(self) -> SeriesScale | None:
        """Choose the scale of all the slices.

        The scale is the first range that all slices declare alike and that does not hide their content
        (`intensity.hides_content`); otherwise PERCENTILES. Windows that differ between slices were set slice
        by slice, so none of them is used. Where all values are equal, only the declared windows tell black
        from white, so each slice uses its own.

        Returns
        -------
        SeriesScale or None
            None if there is no value.
        """
        chains = sorted(self.declared, key=repr)
        if len(self.histogram.values) < 2 and all(chains):
            return SeriesScale(chains[0][0].kind)
        common = [one for one in chains[0] if all(one in chain for chain in chains)]
        values, notes = self.histogram.sample() if common else np.empty(0), list[str]()
        for one in common:
            # A CT of nothing but air is black in its window, and rightly so.
            is_air = self.hounsfield and bool(np.mean(values < _MAX_AIR_HU) > 0.99)
            if is_air or not intensity.hides_content([values], [one.apply(values)]):
                return SeriesScale(one.kind, notes=tuple(notes))
            notes.append(f"the {one.kind} shows next to nothing: passed over")
        percentiles = self.histogram.percentile_range()
        return SeriesScale(PERCENTILES, percentiles.numbers, tuple(notes)) if percentiles else None


def scale_by_percentiles(
    path: Path, images: Sequence[Values], rescale: Callable[[Values], Values] = np.asarray
) -> list[Pixels]:
    """Bring the slices of one volume to uint8 on one scale, the percentiles of all their values.

    This is the scale of every format that states no window, and of arrays. Placeholders for what was not
    measured are left out of the percentiles and become black.

    Parameters
    ----------
    path
        File to name in errors.
    images
        Stored values of each slice, (height, width).
    rescale
        A linear function that makes real values of stored ones.

    Returns
    -------
    list of ndarray
        uint8, (height, width) each.

    Raises
    ------
    DamagedFileError
        If no value is finite.
    """
    if all(is_short_integer(image) for image in images):
        histogram = Histogram.merge([Histogram.from_values(image, rescale) for image in images])
        percentiles = histogram.percentile_range()
        if percentiles is None:
            raise DamagedFileError(path, "no finite value", "every value is NaN or infinite")
        return [percentiles.to_pixels(rescale(image)) for image in images]
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
    """Show the slices of one volume in the brain window, if their values look like Hounsfield units.

    Needed for files and arrays that do not say what their values mean.

    Parameters
    ----------
    images
        Stored values of each slice, (height, width).
    rescale
        A linear function that makes real values of stored ones.

    Returns
    -------
    list of ndarray or None
        uint8, (height, width) each. None where the values are no Hounsfield units
        (`placeholders.is_hounsfield`), or where the window would hide what they hold.
    """
    if not is_hounsfield(rescale(sample_values([images] if isinstance(images, np.ndarray) else images))):
        return None
    windowed = [intensity.apply_window(rescale(image), *intensity.BRAIN_WINDOW) for image in images]
    return None if intensity.hides_content([rescale(image) for image in images], windowed) else windowed
