"""Catalog in, Splits out: which slice trains, validates and tests, under named protocols."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.audit import Audit
from gliascope.audit.copy_groups import group_slices
from gliascope.audit.decisions import Decisions, apply_labels
from gliascope.classes import TUMOR_KINDS
from gliascope.dataset.catalog import Catalog, read_table, write_table
from gliascope.dataset.merge import exclusion_reasons
from gliascope.errors import GliascopeError, SplitError
from gliascope.runtime.progress import note
from gliascope.splits.draws import hash_halves
from gliascope.splits.protocols import (
    PROTOCOLS,
    VALIDATION_SHARE,
    ProtocolInput,
    check_protocols,
    default_protocols,
)
from gliascope.splits.split_errors import empty_subset, untrained_class
from gliascope.splits.validation import validation_roles

SUBSETS = ("train", "val", "test")
UNAUDITED_NOTE = "No audit was given, so near copies are not kept together: they may be on both sides."
COLUMNS = [
    "protocol", "fold_name", "seed", "decisions", "audited",
    "path", "index", "source", "label", "pixel_hash", "group", "calibrates", "subset",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Split:
    """One round of one protocol: a part (train, val or test) and a group for every slice it uses.

    `frame` has columns COLUMNS. `calibrates`: whether a slice's group is of the half that calibrates where
    validation slices choose something (see `validation.uses`).
    """

    frame: pl.DataFrame

    @property
    def protocol(self) -> str:
        """Name of the protocol this split follows."""
        return str(self.frame["protocol"][0])

    @property
    def fold_name(self) -> str:
        """Which of the protocol's rounds this is, like "fold 2"; empty where it has only one."""
        return str(self.frame["fold_name"][0])

    @property
    def seed(self) -> int:
        """What was drawn by; each repeat of a protocol has one of its own."""
        return int(self.frame["seed"][0])

    @property
    def decisions(self) -> str | None:
        """How many decisions of which file were applied; None where none was given."""
        text: str | None = self.frame["decisions"][0]
        return text

    @property
    def description(self) -> str:
        """What a reader must know of the protocol, and whether the copies it speaks of were looked for."""
        text = PROTOCOLS[self.protocol].description
        return (
            text if self.frame["audited"][0] or _parts_copies(self.protocol) else f"{text} {UNAUDITED_NOTE}"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, the order of every probability vector."""
        return tuple(sorted(self.frame["label"].unique().to_list()))

    def for_task(self, task: str) -> "Split":
        """The same slices with the labels of a recipe's task: as they are, or tumour against no tumour.

        Raises SplitError for labels that are neither a kind of tumour nor its absence.
        """
        if task == "types":
            return self
        strangers = set(self.classes) - {*TUMOR_KINDS, "tumor", "no_tumor"}
        if strangers:
            raise SplitError(
                f"task 'binary' knows {', '.join(TUMOR_KINDS)}, tumor and no_tumor but the split has "
                f"{', '.join(sorted(strangers))}; map them by --labels"
            )
        merged = pl.col("label").replace(dict.fromkeys(TUMOR_KINDS, "tumor"))
        return Split(self.frame.with_columns(label=merged))

    def subset(self, name: str) -> pl.DataFrame:
        """Rows of one part, in catalogue order."""
        return self.frame.filter(pl.col("subset") == name)

    def class_numbers(self, name: str) -> NDArray[np.int64]:
        """Index into `classes` of each row of one part, (slices,)."""
        return np.searchsorted(self.classes, self.subset(name)["label"].to_list()).astype(np.int64)

    @property
    def subset_hashes(self) -> dict[str, str]:
        """By part: hash of the content and label of its slices, in any order."""
        found = {}
        for name in SUBSETS:
            content = hashlib.blake2b(digest_size=10)
            for row in self.subset(name).select("pixel_hash", "label").sort(pl.all()).iter_rows():
                content.update("\t".join(row).encode())
            found[name] = content.hexdigest()
        return found

    @property
    def training_hash(self) -> str:
        """Hash of the label and part of every slice that trains or validates: one training serves equals.

        So are the parts of validation that choose and calibrate: a run is calibrated once, at its end.
        """
        content = hashlib.blake2b("\t".join(self.classes).encode(), digest_size=10)
        used = self.frame.filter(pl.col("subset") != "test")
        used = used.with_columns(use=validation_roles(used, selects=True).fill_null(""))
        for row in used.select("pixel_hash", "label", "subset", "use").sort(pl.all()).iter_rows():
            content.update("\t".join(row).encode())
        return content.hexdigest()


def write_splits(splits: Sequence[Split], path: Path) -> None:
    """Write all into one Parquet file, atomically."""
    write_table(pl.concat([split.frame for split in splits]), path)


def load_splits(path: Path, protocols: Sequence[str] | None = None) -> list[Split]:
    """Read what `write_splits` wrote, or those of some protocols.

    Raises GliascopeError where it is missing, is something else, or lacks a protocol.
    """
    frame = read_table(path, COLUMNS, "split")
    if frame.is_empty():
        raise GliascopeError(f"{path}: is empty; make it again with `gliascope split`")
    splits = [Split(part) for _, part in frame.group_by("protocol", "fold_name", maintain_order=True)]
    if protocols is None:
        return splits
    for protocol in protocols:
        if protocol not in set(frame["protocol"]):
            raise SplitError(
                f"{path}: has no protocol {protocol!r}; make it with `gliascope split --protocol`"
            )
    return [split for protocol in protocols for split in splits if split.protocol == protocol]


def split(
    catalog: Catalog,
    protocols: Sequence[str] | None = None,
    seed: int = 0,
    audit: Audit | None = None,
    decisions: Decisions | None = None,
    validation_share: float = VALIDATION_SHARE,
    repeats: int = 1,
) -> list[Split]:
    """Divide a catalogue under each protocol; a protocol of several rounds gives a Split for each.

    protocols: by default official, or grouped where no source has a test folder.
    `validation` is the share of a given training part that validates, where the sources have no validation
    part of their own. The same seed gives the same split on every machine; `repeats` draws again with the
    seeds that follow. With an audit, groups also hold near copies. Raises SplitError for an unknown protocol,
    one that the sources cannot satisfy or that draws nothing to repeat, a class that training lacks, or an
    empty part; LayoutError for decisions that do not fit the catalogue.
    """
    check_protocols(protocols or ())
    protocols = protocols or default_protocols(catalog.frame)
    if audit is None and not all(map(_parts_copies, protocols)):
        note(f"{UNAUDITED_NOTE} Add --audit DIR.")
    frame = catalog.frame
    pairs = _pairs(frame, audit, decisions)
    frame = frame.with_columns(group=pl.Series(group_slices(frame, pairs)), audited=pl.lit(audit is not None))
    frame = frame.with_columns(calibrates=hash_halves(frame))
    if decisions:
        frame = apply_labels(frame, decisions.frame)
        frame = frame.with_columns(exclusion_reason=exclusion_reasons(frame))
    # A localizer or a map trains nothing and tests nothing, also where a protocol takes copies and all.
    frame = frame.filter(pl.col("kind").is_null())
    facts = frame.with_columns(decisions=pl.lit(decisions.summary if decisions else None, pl.String))
    splits: list[Split] = []
    for protocol in protocols:
        for repeat in range(repeats):
            rounds = PROTOCOLS[protocol].assign(ProtocolInput(frame, pairs, seed + repeat, validation_share))
            drawn = [
                _split(facts, protocol, _round(name, repeat), seed + repeat, parts)
                for name, parts in rounds.items()
            ]
            if repeat and drawn[0].training_hash == splits[-len(drawn)].training_hash:
                raise SplitError(f"protocol {protocol!r} draws nothing here: leave out --repeats")
            splits += drawn
    return splits


def _parts_copies(protocol: str) -> bool:
    """Whether a protocol divides copies, audit or not."""
    return PROTOCOLS[protocol].disjoint == "slices"


def _split(frame: pl.DataFrame, protocol: str, round_: str, seed: int, parts: pl.Series) -> Split:
    named = {"protocol": pl.lit(protocol), "fold_name": pl.lit(round_), "seed": pl.lit(seed, pl.Int64)}
    used = frame.with_columns(**named, subset=parts).filter(pl.col("subset").is_not_null())
    made = Split(used.select(COLUMNS))
    check_split(made)
    return made


def _round(name: str, repeat: int) -> str:
    """The first drawing's rounds keep their names, so that asking for more of them finds what is trained."""
    return ", ".join(part for part in (f"repeat {repeat + 1}" if repeat else "", name) if part)


def _pairs(frame: pl.DataFrame, audit: Audit | None, decisions: Decisions | None) -> pl.DataFrame | None:
    """The audit's near copies, without those decided to be different, with those decided to be the same."""
    if audit is None:
        if decisions and decisions.frame["action"].is_in(["same"]).any():
            raise SplitError(f"{decisions.file} joins pairs; that needs the audit's copies, add --audit DIR")
        return None
    if set(audit.groups["pixel_hash"]) != set(frame["pixel_hash"]):
        raise GliascopeError("the audit is of another catalogue; run `gliascope audit` again")
    if decisions is None:
        return audit.pairs
    same = decisions.pairs("same", frame).with_columns(
        correlation=pl.lit(None, pl.Float64), transform=pl.lit("decided"), cut=pl.lit(value=False)
    )
    kept = audit.pairs.join(decisions.pairs("different", frame), on=["a", "b"], how="anti")
    return pl.concat([kept, same])


def check_split(split: Split, subsets: Sequence[str] = SUBSETS) -> None:
    """Raise SplitError where one of these subsets is empty, or training lacks a class of the others."""
    if split.frame.is_empty():
        raise SplitError(
            "no slice is left to divide: all are set aside, as contradicting labels, files that cannot be "
            "read or kinds that train nothing; `gliascope scan` counts them and says where they are listed"
        )
    name = f"{split.protocol!r}" + (f", {split.fold_name}" if split.fold_name else "")
    counts = split.frame.group_by("label", "subset").len()
    for label in split.classes:
        present = set(counts.filter(pl.col("label") == label)["subset"])
        if "train" not in present:
            raise untrained_class(split.frame, split.protocol, name, label, present)
    for part in subsets:
        if part not in set(split.frame["subset"]):
            raise empty_subset(split.frame, split.protocol, name, part)
