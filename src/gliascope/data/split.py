"""Catalog in, Split out: which slice trains, validates and tests, under a named protocol."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.catalog import Catalog, read_table, write_table
from gliascope.data.groups import group_ids
from gliascope.errors import GliascopeError, SplitError

PARTS = ("train", "val", "test")
VALIDATION = TEST = 0.15
COLUMNS = ["protocol", "seed", "path", "index", "source", "label", "pixel_hash", "group", "part"]


@dataclass(frozen=True, slots=True)
class Split:
    """A part (train, val or test) and a group number for every slice: `frame` with columns COLUMNS."""

    frame: pl.DataFrame

    @property
    def protocol(self) -> str:
        """Name of the protocol this split follows."""
        return str(self.frame["protocol"][0])

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, the order of every probability vector."""
        return tuple(sorted(self.frame["label"].unique().to_list()))

    def part(self, name: str) -> pl.DataFrame:
        """Rows of one part, in catalogue order."""
        return self.frame.filter(pl.col("part") == name)

    def class_numbers(self, name: str) -> NDArray[np.int64]:
        """Index into `classes` of each row of one part, (slices,)."""
        return np.searchsorted(self.classes, self.part(name)["label"].to_list()).astype(np.int64)

    @property
    def fingerprint(self) -> str:
        """Hash of every slice's label and part."""
        content = hashlib.blake2b(digest_size=10)
        for row in self.frame.select("pixel_hash", "label", "part").sort(pl.all()).iter_rows():
            content.update("\t".join(row).encode())
        return content.hexdigest()

    def write(self, path: Path) -> None:
        """Write as Parquet, atomically."""
        write_table(self.frame, path)

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read what `write` wrote. Raises GliascopeError where it is missing or is something else."""
        split = cls(read_table(path, COLUMNS, "split"))
        if split.frame.is_empty():
            raise GliascopeError(f"{path}: is empty; make it again with `gliascope split`")
        return split


def split(catalog: Catalog, protocol: str = "official", seed: int = 0) -> Split:
    """Divide a catalogue under `protocol`. The same seed gives the same split on every machine.

    Raises SplitError for an unknown protocol, one that the sources cannot satisfy, a class that training
    lacks, or an empty part.
    """
    if protocol not in PROTOCOLS:
        raise SplitError(f"unknown protocol {protocol!r}; choose from {', '.join(PROTOCOLS)}")
    frame = catalog.frame.with_columns(group=pl.Series(group_ids(catalog.frame)))
    parts = PROTOCOLS[protocol].assign(frame, seed)
    frame = frame.with_columns(protocol=pl.lit(protocol), seed=pl.lit(seed, pl.Int64), part=parts).select(
        COLUMNS
    )
    _check(frame, protocol)
    return Split(frame)


def _official(frame: pl.DataFrame, seed: int) -> pl.Series:
    """The source's own test set; its own validation set, else one cut by group from what is left."""
    official = frame["official"]
    if not (official == "test").any():
        raise SplitError(
            f"no test folder in {', '.join(sorted(frame['source'].unique()))}; "
            "use --protocol grouped, or name the folders Training and Testing"
        )
    parts = official.fill_null("train")
    if (parts == "val").any():
        return parts
    train = (parts == "train").to_numpy()
    cut = _cut(frame.filter(train), seed, test=0.0)
    return parts.scatter(pl.Series(train).arg_true(), cut)


def _grouped(frame: pl.DataFrame, seed: int) -> pl.Series:
    return _cut(frame, seed, test=TEST)


def _cut(frame: pl.DataFrame, seed: int, test: float) -> pl.Series:
    """Draw test, validation and training parts by whole groups, stratified by class.

    A group counts for its commonest label. Groups are ordered by a hash of the seed and the smallest
    pixel hash they contain, which no machine, library version or row order can change.
    """
    groups = (
        frame.group_by("group")
        .agg(size=pl.len(), key=pl.col("pixel_hash").min(), label=pl.col("label").mode().min())
        .with_columns(pl.col("key").map_elements(lambda key: _rank(seed, key), return_dtype=pl.String))
        .sort("label", "key")
    )
    end = pl.col("size").cum_sum().over("label")
    middle = (end - pl.col("size") / 2) / pl.col("size").sum().over("label")
    part = (
        pl.when(middle < test)
        .then(pl.lit("test"))
        .when(middle < test + VALIDATION)
        .then(pl.lit("val"))
        .otherwise(pl.lit("train"))
    )
    drawn = groups.select("group", part=part)
    return frame.select("group").join(drawn, on="group", how="left", maintain_order="left")["part"]


def _rank(seed: int, key: str) -> str:
    return hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=16).hexdigest()


def _check(frame: pl.DataFrame, protocol: str) -> None:
    counts = frame.group_by("label", "part").len()
    for label in sorted(frame["label"].unique()):
        present = set(counts.filter(pl.col("label") == label)["part"])
        if "train" not in present:
            raise SplitError(
                f"class {label!r} is in {' and '.join(sorted(present))} but not in training under protocol "
                f"{protocol!r}; add training slices of it, or leave its folder out by --labels"
            )
    for part in PARTS:
        if part not in set(frame["part"]):
            raise SplitError(
                f"protocol {protocol!r} leaves no slice for {part}: {frame['group'].n_unique()} groups are "
                "too few; add slices"
            )


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a protocol assigns parts, and what a reader must know about it."""

    assign: Callable[[pl.DataFrame, int], pl.Series]
    description: str


PROTOCOLS: dict[str, Protocol] = {
    "official": Protocol(
        _official,
        "The sources' own test folders. Copies and patients shared with training are not removed, "
        "so the number is comparable with published ones and likely too high.",
    ),
    "grouped": Protocol(
        _grouped,
        "70/15/15 over all sources, by class. No group is cut: a group is a known patient, "
        "else one study or file; slices with identical pixels are always together.",
    ),
}
