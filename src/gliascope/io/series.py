"""Several files together: the slices of one series are read on one grey scale."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import polars as pl

from gliascope.errors import ReadError
from gliascope.io import folder_labels, may_be_in_series, read
from gliascope.io.facts import digest
from gliascope.io.histogram import Histogram
from gliascope.io.intensity_range import IntensityRange
from gliascope.io.memory import InMemory, Source
from gliascope.io.patient_names import is_generic, is_patient
from gliascope.io.scales import IntensityFacts, SeriesScale
from gliascope.io.slices import Slice
from gliascope.runtime.executors import map_in_order
from gliascope.runtime.paths import to_path

_MERGE_AT = 64  # files whose facts are held before they are merged into one
_NUMBERED = re.compile(r"\d|patient|subject|case", re.IGNORECASE)
AnySource = TypeVar("AnySource", bound=Source)
_NO_MAPPING: Mapping[str, str | None] = {}
_SCHEMA = {
    "name": pl.String(),
    "series": pl.String(),
    "declared": pl.String(),
    "values": pl.List(pl.Float64()),
    "counts": pl.List(pl.Int64()),
    "hounsfield": pl.Boolean(),
    "instance": pl.String(),
    "own_scale": pl.String(),
}


def _reraise(error: ReadError) -> None:
    raise error


def read_series(
    paths: Sequence[Path | str], on_unreadable: Callable[[ReadError], None] = _reraise
) -> list[list[Slice]]:
    """Read several files, with the files of each series on one grey scale.

    Files of one SeriesInstanceUID are a series. So are pictures of more than 8 bits in the folder of one
    patient (see `folder_series`). The order of the files changes nothing.

    Parameters
    ----------
    paths
        Files to read.
    on_unreadable
        Called with the ReadError of each file that cannot be read. By default the error is raised.

    Returns
    -------
    list of list of Slice
        For each file its slices, as `gliascope.io.read` returns them; none for an unreadable file.
    """
    files = [to_path(path) if isinstance(path, str) else path for path in paths]
    scales = series_scales(files)

    def read_or_report(file: Path) -> list[Slice]:
        try:
            return read(file, scales.get(file))
        except ReadError as error:
            on_unreadable(error)
            return []

    return [read_or_report(file) for file in files]


def series_scales(files: Iterable[AnySource]) -> dict[AnySource, SeriesScale]:
    """Find the common grey scale of each series that has at least two of these files.

    Returns
    -------
    dict
        The scale of each file of such a series. A file that is missing here keeps its own scale.
    """
    files = list(files)
    in_series = zip(files, map_in_order(may_be_in_series, files), strict=True)
    candidates = list(dict.fromkeys(file for file, may_be in in_series if may_be))
    if len(candidates) < 2:
        return {}
    series = SeriesCollector()
    for member in map_in_order(read_member, candidates):
        series.add(member)
    file_of_name = {str(file): file for file in candidates}
    return {file_of_name[name]: scale for name, _, scale in series.scales()}


@dataclass(frozen=True, slots=True)
class SeriesMember:
    """A file of a series.

    Attributes
    ----------
    name : str
        The file.
    series : str
        Identifies its series.
    intensity : IntensityFacts
        What the file says of its grey values.
    """

    name: str
    series: str
    intensity: IntensityFacts


def read_member(file: Source) -> SeriesMember | None:
    """Read what a file says of the grey scale of its series; None if it cannot be read or is of no series."""
    try:
        return series_member(str(file), read(file), () if isinstance(file, InMemory) else file.parent.parts)
    except ReadError:
        return None


def series_member(
    name: str,
    slices: Sequence[Slice],
    folders: tuple[str, ...],
    mapping: Mapping[str, str | None] = _NO_MAPPING,
) -> SeriesMember | None:
    """Return what the slices of a file say of the grey scale of their series.

    Parameters
    ----------
    name
        The file.
    slices
        Its slices.
    folders
        Names of the folders above it, outermost first.
    mapping
        The user's mapping of folder names to classes, as `folder_labels.load_mapping` returns it.

    Returns
    -------
    SeriesMember or None
        None where the slices are of no series.
    """
    facts = slices[0].intensity if slices else None
    series = facts and (facts.series or folder_series(folders, mapping))
    return SeriesMember(name, series, facts) if facts and series else None


def folder_series(folders: tuple[str, ...], mapping: Mapping[str, str | None] = _NO_MAPPING) -> str | None:
    """Identify the series that pictures in a folder belong to, if the folder is that of one patient.

    The patient's folder is the innermost one that names neither a class nor a subset and sorts slices by
    nothing else either, such as `t1`. Its name alone is not enough. It counts if

    - a folder above it names a class: `glioma/anna`; or
    - it holds the file, and its name has a number or a word like "patient": `uploads/scan 3`; or
    - its name means a patient wherever it lies (`patient_names.is_patient`): `patient 7/glioma`.

    Parameters
    ----------
    folders
        Names of the folders above the pictures, outermost first.
    mapping
        The user's mapping of folder names to classes, as `folder_labels.load_mapping` returns it.

    Returns
    -------
    str or None
        A hash of the folders that name no class and no subset, so that `glioma/p7` and `no_tumor/p7` are one
        series; None where the folder is not that of one patient.
    """
    labels = [folder_labels.labels_of_folders(("", folder), mapping) for folder in folders]
    unlabelled = [one.label is None and not one.excluded and one.subset is None for one in labels]
    may_be_patient = [unlabelled[at] and not is_generic(folder) for at, folder in enumerate(folders)]
    at = max((at for at, may_be in enumerate(may_be_patient) if may_be), default=None)
    if at is None:
        return None
    name, is_last = folders[at], at == len(folders) - 1
    below_class = any(one.label for one in labels[:at])
    if not (below_class or is_patient(name) or (is_last and _NUMBERED.search(name))):
        return None
    return digest("folder", *(folder for folder, keep in zip(folders, unlabelled, strict=True) if keep))


@dataclass(slots=True)
class _Series:
    files: dict[str, SeriesScale | None] = field(default_factory=dict)  # each with its own scale
    facts: list[IntensityFacts] = field(default_factory=list)  # not merged yet
    instances: set[str] = field(default_factory=set)


class SeriesCollector:
    """Collects what files say of their grey values, series by series, in whatever order they come."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def add(self, member: SeriesMember | None) -> None:
        """Add a file; None adds nothing. The values of a copy of an added file are not counted again."""
        if member is None:
            return
        series, facts = self._series.setdefault(member.series, _Series()), member.intensity
        series.files[member.name] = facts.own_scale
        if facts.instance not in series.instances:
            series.instances.add(facts.instance)
            series.facts.append(facts)
            if len(series.facts) == _MERGE_AT:
                series.facts = [IntensityFacts.merge(series.facts)]

    def scales(self) -> Iterator[tuple[str, SeriesScale | None, SeriesScale]]:
        """Yield name, own scale and common scale of each file whose series has at least two files."""
        for series in self._series.values():
            if len(series.files) > 1 and (scale := IntensityFacts.merge(series.facts).common_scale()):
                yield from ((name, own_scale, scale) for name, own_scale in series.files.items())


def pack_members(members: Iterable[SeriesMember]) -> bytes:
    """Write members of series as a table in Arrow's stream format; `unpack_members` reads it."""
    rows = [
        {
            "name": one.name,
            "series": one.series,
            "declared": json.dumps([[astuple(each) for each in chain] for chain in one.intensity.declared]),
            "values": one.intensity.histogram.values,
            "counts": one.intensity.histogram.counts,
            "hounsfield": one.intensity.hounsfield,
            "instance": one.intensity.instance,
            "own_scale": one.intensity.own_scale.text if one.intensity.own_scale else None,
        }
        for one in members
    ]
    table = BytesIO()
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_ipc_stream(table, compression="lz4")
    return table.getvalue()


def unpack_members(content: bytes) -> Iterator[SeriesMember]:
    """Yield the members that `pack_members` wrote."""
    for row in pl.read_ipc_stream(content).iter_slices(1):
        name, series, declared, hounsfield, instance, own_scale = row.drop("values", "counts").row(0)
        facts = IntensityFacts(
            series,
            frozenset(
                tuple(IntensityRange(kind, tuple(numbers), function) for kind, numbers, function in chain)
                for chain in json.loads(declared)
            ),
            Histogram(row["values"][0].to_numpy(), row["counts"][0].to_numpy()),
            hounsfield,
            instance,
            SeriesScale.parse(own_scale) if own_scale else None,
        )
        yield SeriesMember(name, series, facts)
