"""Several files together: those of one series are read on one grey scale."""

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
from gliascope.io.memory import InMemory, Source
from gliascope.io.patient_names import is_generic, is_patient
from gliascope.io.scales import Histogram, IntensityFacts, IntensityRange, SeriesScale
from gliascope.io.slices import Slice
from gliascope.runtime.executors import map_in_order
from gliascope.runtime.paths import to_path

_FOLD = 64  # files whose counts wait to be added up
_NUMBERED = re.compile(r"\d|patient|subject|case", re.IGNORECASE)
AnySource = TypeVar("AnySource", bound=Source)
_NO_NAMES: Mapping[str, str | None] = {}
_SCHEMA = {
    "name": pl.String(),
    "series": pl.String(),
    "declared": pl.String(),
    "values": pl.List(pl.Float64()),
    "counts": pl.List(pl.Int64()),
    "hounsfield": pl.Boolean(),
    "instance": pl.String(),
    "alone": pl.String(),
}


def _reraise(error: ReadError) -> None:
    raise error


def read_series(
    paths: Sequence[Path | str], on_unreadable: Callable[[ReadError], None] = _reraise
) -> list[list[Slice]]:
    """Slices of each file, as `read` gives them, but on one grey scale a series, whatever the order.

    Files of one SeriesInstanceUID are a series, and so are pictures of more than 8 bits in one patient's
    folder (see `folder_series`). A file that cannot be read goes to `on_reject`, which raises its ReadError
    unless told otherwise; it has no slices.
    """
    files = [to_path(path) if isinstance(path, str) else path for path in paths]
    scales = series_scales(files)

    def read_or_reject(file: Path) -> list[Slice]:
        try:
            return read(file, scales.get(file))
        except ReadError as error:
            on_unreadable(error)
            return []

    return [read_or_reject(file) for file in files]


def series_scales(files: Iterable[AnySource]) -> dict[AnySource, SeriesScale]:
    """The scale of each file that is one of several of its series among `files`; others have their own."""
    sharing = dict(zip(files := list(files), map_in_order(may_be_in_series, files), strict=True))
    sharing = {file: True for file, shares in sharing.items() if shares}
    if len(sharing) < 2:
        return {}
    series = SeriesCollector()
    for member in map_in_order(read_member, sharing):
        series.add(member)
    named = {str(file): file for file in sharing}
    return {named[name]: scale for name, _, scale in series.scales()}


@dataclass(frozen=True, slots=True)
class SeriesMember:
    """A file of a series: its name, the series, and what it says of the grey scale."""

    name: str
    series: str
    intensity: IntensityFacts


def read_member(file: Source) -> SeriesMember | None:
    """What a file says of the scale of its series; None where it is of none, or cannot be read."""
    try:
        return series_member(str(file), read(file), () if isinstance(file, InMemory) else file.parent.parts)
    except ReadError:
        return None


def series_member(
    name: str,
    slices: Sequence[Slice],
    folders: tuple[str, ...],
    mapping: Mapping[str, str | None] = _NO_NAMES,
) -> SeriesMember | None:
    """What the slices of a file in `folders` say of their series; None where they are of none."""
    grey = slices[0].intensity if slices else None
    series = grey and (grey.series or folder_series(folders, mapping))
    return SeriesMember(name, series, grey) if grey and series else None


def folder_series(folders: tuple[str, ...], mapping: Mapping[str, str | None] = _NO_NAMES) -> str | None:
    """Name what the slices of one patient's folder share, as far as names tell; None where it is not one's.

    A patient's folder is neither a class nor a part of a set, nor sorts by anything else, such as `t1`. It
    lies in a class folder; or it holds the file, and its name has a number or says "patient"; or others lie
    between, as in `patient 7/glioma`, and its name means a patient by itself (`patients.is_patient`).
    `glioma/p7` and `no_tumor/p7` are one patient's.
    """
    said = [folder_labels.labels_of_folders(("", folder), mapping) for folder in folders]
    common = [one.label is None and not one.excluded and one.subset is None for one in said]
    own = [common[at] and not is_generic(folder) for at, folder in enumerate(folders)]
    at = max((at for at, is_own in enumerate(own) if is_own), default=None)
    if at is None:
        return None
    name, last = folders[at], at == len(folders) - 1
    if not (any(one.label for one in said[:at]) or is_patient(name) or (last and _NUMBERED.search(name))):
        return None
    return digest("folder", *(folder for folder, kept in zip(folders, common, strict=True) if kept))


@dataclass(slots=True)
class _Pool:
    files: dict[str, SeriesScale | None] = field(default_factory=dict)  # with the scale each has alone
    waiting: list[IntensityFacts] = field(default_factory=list)
    instances: set[str] = field(default_factory=set)


class SeriesCollector:
    """Puts together what files say, series by series, as they come; the order does not matter."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = {}

    def add(self, member: SeriesMember | None) -> None:
        """Add a file. What is a copy of one that was added counts once."""
        if member is None:
            return
        pool, grey = self._pools.setdefault(member.series, _Pool()), member.intensity
        pool.files[member.name] = grey.own_scale
        if grey.instance not in pool.instances:
            pool.instances.add(grey.instance)
            pool.waiting.append(grey)
            if len(pool.waiting) == _FOLD:
                pool.waiting = [IntensityFacts.merge(pool.waiting)]

    def scales(self) -> Iterator[tuple[str, SeriesScale | None, SeriesScale]]:
        """Yield the files of those series that have several: name, the scale each has alone, the common."""
        for pool in self._pools.values():
            if len(pool.files) > 1 and (scale := IntensityFacts.merge(pool.waiting).common_scale()):
                yield from ((name, alone, scale) for name, alone in pool.files.items())


def pack_members(members: Iterable[SeriesMember]) -> bytes:
    """As a table in Arrow's format."""
    rows = [
        {
            "name": one.name,
            "series": one.series,
            "declared": json.dumps(
                [[astuple(range_) for range_ in chain] for chain in one.intensity.declared]
            ),
            "values": one.intensity.histogram.values,
            "counts": one.intensity.histogram.counts,
            "hounsfield": one.intensity.hounsfield,
            "instance": one.intensity.instance,
            "alone": one.intensity.own_scale.text if one.intensity.own_scale else None,
        }
        for one in members
    ]
    table = BytesIO()
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_ipc_stream(table, compression="lz4")
    return table.getvalue()


def unpack_members(content: bytes) -> Iterator[SeriesMember]:
    """Yield what `pack` was given."""
    for row in pl.read_ipc_stream(content).iter_slices(1):
        name, series, declared, hounsfield, instance, alone = row.drop("values", "counts").row(0)
        chains = frozenset(
            tuple(IntensityRange(range_[0], tuple(range_[1]), range_[2]) for range_ in chain)
            for chain in json.loads(declared)
        )
        own = SeriesScale.parse(alone) if alone else None
        counts = Histogram(row["values"][0].to_numpy(), row["counts"][0].to_numpy())
        yield SeriesMember(name, series, IntensityFacts(series, chains, counts, hounsfield, instance, own))
