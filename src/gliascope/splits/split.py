"""Split a catalogue into training, validation and test subsets under named protocols."""

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
    """The subset (train, val or test) and the group of every slice that one fold of one protocol uses.

    Parameters
    ----------
    frame
        One row per slice, in the columns `COLUMNS`. The column `calibrates` states whether the slice's group
        is of the half that calibrates where validation slices also select something (see `validation_roles`).
    """

    frame: pl.DataFrame

    @property
    def protocol(self) -> str:
        """Name of the protocol this split follows."""
        return str(self.frame["protocol"][0])

    @property
    def fold_name(self) -> str:
        """Which of the protocol's folds this is, such as "fold 2"; empty if the protocol has only one."""
        return str(self.frame["fold_name"][0])

    @property
    def seed(self) -> int:
        """The random seed; each repeat of a protocol has one of its own."""
        return int(self.frame["seed"][0])

    @property
    def decisions(self) -> str | None:
        """Number and file of the decisions that were applied; None if there were none."""
        text: str | None = self.frame["decisions"][0]
        return text

    @property
    def description(self) -> str:
        """What a reader must know of the protocol, and whether copies were searched for."""
        text = PROTOCOLS[self.protocol].description
        return (
            text if self.frame["audited"][0] or _divides_copies(self.protocol) else f"{text} {UNAUDITED_NOTE}"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, which is the order of every probability vector."""
        return tuple(sorted(self.frame["label"].unique().to_list()))

    def for_task(self, task: str) -> "Split":
        """Return the same slices with the labels of a recipe's task.

        Parameters
        ----------
        task
            "types" leaves labels as they are; "binary" merges all kinds of tumour into "tumor".

        Raises
        ------
        SplitError
            If the task is "binary" and a label is neither a kind of tumour nor its absence.
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
        """Return the rows of one subset, in catalogue order."""
        return self.frame.filter(pl.col("subset") == name)

    def class_numbers(self, name: str) -> NDArray[np.int64]:
        """Return the index into `classes` of each row of a subset, int64 (slices,)."""
        return np.searchsorted(self.classes, self.subset(name)["label"].to_list()).astype(np.int64)

    @property
    def subset_hashes(self) -> dict[str, str]:
        """By subset: hash of the pixels and labels of its slices, whatever their order."""
        found = {}
        for name in SUBSETS:
            content = hashlib.blake2b(digest_size=10)
            for row in self.subset(name).select("pixel_hash", "label").sort(pl.all()).iter_rows():
                content.update("\t".join(row).encode())
            found[name] = content.hexdigest()
        return found

    @property
    def training_hash(self) -> str:
        """Hash of the labels, subsets and roles of all slices that train or validate.

        Splits with equal hashes are served by one training. The roles of validation slices (selecting,
        calibrating) are included, because a run is calibrated once, at its end.
        """
        content = hashlib.blake2b("\t".join(self.classes).encode(), digest_size=10)
        used = self.frame.filter(pl.col("subset") != "test")
        used = used.with_columns(use=validation_roles(used, selects=True).fill_null(""))
        for row in used.select("pixel_hash", "label", "subset", "use").sort(pl.all()).iter_rows():
            content.update("\t".join(row).encode())
        return content.hexdigest()


def write_splits(splits: Sequence[Split], path: Path) -> None:
    """Write all splits into one Parquet file, atomically."""
    write_table(pl.concat([split.frame for split in splits]), path)


def load_splits(path: Path, protocols: Sequence[str] | None = None) -> list[Split]:
    """Read splits that `write_splits` has written.

    Parameters
    ----------
    path
        The file.
    protocols
        Protocols to return; by default all.

    Raises
    ------
    GliascopeError
        If the file is missing, is something else, or lacks a protocol.
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
    *,
    seed: int = 0,
    audit: Audit | None = None,
    decisions: Decisions | None = None,
    validation_share: float = VALIDATION_SHARE,
    repeats: int = 1,
) -> list[Split]:
    """Split a catalogue into training, validation and test subsets.

    The same seed gives the same split on every machine.

    Parameters
    ----------
    catalog
        The catalogue.
    protocols
        Names of `PROTOCOLS`. By default "official", or "grouped" if no source has a test folder.
    seed
        Seed of the random draws.
    audit
        If given, near copies are kept in one group.
    decisions
        A person's decisions on labels and pairs of slices.
    validation_share
        Share of a given training subset that validates, for sources without a validation subset.
    repeats
        How often each protocol is drawn; repeats use the seeds that follow `seed`.

    Returns
    -------
    list of Split
        One per protocol, repeat and fold.

    Raises
    ------
    SplitError
        If a protocol is unknown, does not fit the sources or has nothing to repeat; if training lacks a
        class; or if a subset is empty.
    LayoutError
        If the decisions do not fit the catalogue.
    """
    check_protocols(protocols or ())
    protocols = protocols or default_protocols(catalog.frame)
    if audit is None and not all(map(_divides_copies, protocols)):
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
            folds = PROTOCOLS[protocol].assign(ProtocolInput(frame, pairs, seed + repeat, validation_share))
            drawn = [
                _split(
                    facts, protocol, fold_name=_named_fold(name, repeat), seed=seed + repeat, subsets=subsets
                )
                for name, subsets in folds.items()
            ]
            if repeat and drawn[0].training_hash == splits[-len(drawn)].training_hash:
                raise SplitError(f"protocol {protocol!r} draws nothing here: leave out --repeats")
            splits += drawn
    return splits


def _divides_copies(protocol: str) -> bool:
    """Return whether a protocol separates copies of one slice, with or without an audit."""
    return PROTOCOLS[protocol].disjoint == "slices"


def _split(frame: pl.DataFrame, protocol: str, *, fold_name: str, seed: int, subsets: pl.Series) -> Split:
    named = {"protocol": pl.lit(protocol), "fold_name": pl.lit(fold_name), "seed": pl.lit(seed, pl.Int64)}
    used = frame.with_columns(**named, subset=subsets).filter(pl.col("subset").is_not_null())
    made = Split(used.select(COLUMNS))
    check_split(made)
    return made


def _named_fold(name: str, repeat: int) -> str:
    """Name a fold of a repeat. The first drawing's names do not change if more repeats are asked for."""
    return ", ".join(part for part in (f"repeat {repeat + 1}" if repeat else "", name) if part)


def _pairs(frame: pl.DataFrame, audit: Audit | None, decisions: Decisions | None) -> pl.DataFrame | None:
    """Return the audit's near copies, changed by the user's decisions on pairs."""
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
    """Raise SplitError if a subset is empty, or training lacks a class of the other subsets.

    Parameters
    ----------
    split
        The split.
    subsets
        Subsets that must not be empty.
    """
    if split.frame.is_empty():
        raise SplitError(
            "no slice is left to divide: all are excluded, as contradicting labels, files that cannot be "
            "read or kinds that train nothing; `gliascope scan` counts them and says where they are listed"
        )
    name = f"{split.protocol!r}" + (f", {split.fold_name}" if split.fold_name else "")
    counts = split.frame.group_by("label", "subset").len()
    for label in split.classes:
        present = set(counts.filter(pl.col("label") == label)["subset"])
        if "train" not in present:
            raise untrained_class(split.frame, split.protocol, name, label=label, subsets=present)
    for subset in subsets:
        if subset not in set(split.frame["subset"]):
            raise empty_subset(split.frame, split.protocol, name, subset)
