"""Protocols: the named ways to split a catalogue. Each is a function from `ProtocolInput` to `Folds`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from gliascope.audit.leaks import has_copy
from gliascope.errors import SplitError
from gliascope.runtime.progress import note
from gliascope.splits.draws import GROUP_KEY, SLICE_KEY, draw_position

SAMPLED_VALIDATION_SHARE = TEST_SHARE = 0.15
VALIDATION_SHARE = 0.1  # for validation, where the test set has been taken already
FOLD_COUNT = 5

Folds = dict[str, pl.Series]  # by fold name: a subset (train, val, test; null if not used) for each row


@dataclass(frozen=True, slots=True)
class ProtocolInput:
    """What a protocol splits.

    Parameters
    ----------
    frame
        Catalogue rows with the column `group`, a number.
    pairs
        Near copies that the audit found; None without an audit.
    seed
        Seed of the random draws.
    validation_share
        Share of a given training subset that validates.
    """

    frame: pl.DataFrame
    pairs: pl.DataFrame | None
    seed: int
    validation_share: float = VALIDATION_SHARE

    @property
    def in_merged_set(self) -> pl.Series:
        """Whether each row is in the merged set, which has no copies and no label conflicts."""
        return self.frame["exclusion_reason"].is_null()


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a protocol assigns subsets, and what a reader must know about it.

    Parameters
    ----------
    assign
        Function that assigns a subset to each row.
    description
        What the protocol does, for reports.
    disjoint
        What training and test never share: "groups" (patients, studies, files and copies), "copies", or only
        "slices".
    leaky
        Whether results under the protocol are too high to be believed.
    """

    assign: Callable[[ProtocolInput], Folds]
    description: str
    disjoint: Literal["groups", "copies", "slices"]
    leaky: bool = False


def _official(material: ProtocolInput) -> Folds:
    """Assign the sources' own test set, and their own validation set or one drawn by group."""
    frame = material.frame
    if not has_test_folder(frame):
        raise missing_test_folder(frame["source"].unique().to_list())
    subsets = frame["official"].fill_null("train")
    if (subsets == "val").any():
        return {"": subsets}
    return {"": _with_validation(frame, subsets, material)}


def _official_clean(material: ProtocolInput) -> Folds:
    """Assign as `_official` does, without test slices that have a copy in training or validation."""
    if material.pairs is None:
        raise SplitError("protocol 'official-clean' needs the audit's copies; add --audit DIR")
    frame, subsets = material.frame, _official(material)[""]
    seen = has_copy(frame["pixel_hash"], frame["pixel_hash"].filter(subsets != "test"), material.pairs)
    return {"": _subsets(frame, pl.when((subsets == "test") & seen).then(None).otherwise(subsets))}


def _grouped(material: ProtocolInput) -> Folds:
    """Draw whole groups of the merged set for each subset."""
    return {"": _on_rows(material.in_merged_set, material.frame, lambda frame: _draw(frame, material.seed))}


def _folds(material: ProtocolInput) -> Folds:
    """Test each fold of the user's CSV once, or each of `FOLD_COUNT` folds drawn by group."""
    frame, used = material.frame, material.in_merged_set
    # The file may name another copy than the one that was kept.
    fold = frame.select(pl.col("fold").drop_nulls().first().over("pixel_hash")).to_series()
    if fold.is_null().all():
        drawn = draw_position(frame.filter(used), material.seed)
        fold = fold.scatter(used.arg_true(), (drawn * FOLD_COUNT).floor().cast(pl.Int32) + 1)
    used &= fold.is_not_null()
    folds = {}
    for number in fold.filter(used).unique().sort():
        test = fold == number
        folds[f"fold {number}"] = _fold(material, used & (test | ~_shares_group(frame, test & used)), test)
    return folds


def _shares_group(frame: pl.DataFrame, test: pl.Series) -> pl.Series:
    """Return whether each row shares a group with a test row, since folds or sources may cut groups."""
    return frame["group"].is_in(frame["group"].filter(test).unique().implode())


def _leave_source_out(material: ProtocolInput) -> Folds:
    """Test each source once, with training on the others without the groups that they share.

    All folds have the same classes: those that two sources have. A fold is left out if its training lacks a
    class or if it has nothing to test.
    """
    frame = material.frame
    sources = frame["source"].unique(maintain_order=True)
    if len(sources) < 2:
        raise SplitError(
            f"protocol 'leave-source-out' needs two sources or more; {sources[0]} is the only one"
        )
    used = _in_two_sources(frame)
    classes = set(frame["label"].filter(used))
    folds = {}
    for source in sources:
        test = frame["source"] == source
        subsets = _fold(material, used & (test | ~_shares_group(frame, test)), test)
        lacking = sorted(classes.difference(frame["label"].filter(subsets == "train")))
        if lacking:
            note(f"leave-source-out: no fold without {source}: no {lacking[0]!r} is left to train with")
        elif not (subsets == "test").any():
            note(f"leave-source-out: no fold without {source}: no other source has a class of it")
        else:
            folds[f"without {source}"] = subsets
    if not folds:
        raise SplitError(
            "protocol 'leave-source-out' leaves no fold: the sources share too much to test one another; "
            "use --protocol grouped"
        )
    return folds


def _in_two_sources(frame: pl.DataFrame) -> pl.Series:
    """Return which rows `leave-source-out` may use: no copies within a source, classes of two sources."""
    # Not the merged set: the copy that was kept may be the other source's.
    first = pl.struct("pixel_hash", "source").is_first_distinct()
    conflict = pl.col("label").n_unique().over("pixel_hash") > 1
    used = frame.select(first & ~conflict).to_series()
    where = frame.filter(used).group_by("label").agg(pl.col("source").unique()).sort("label")
    alone = where.filter(pl.col("source").list.len() == 1)
    if where.height - alone.height < 2:
        raise SplitError(
            "protocol 'leave-source-out' needs two classes that more than one source has; the sources have "
            f"{', '.join(where['label'])}: name them alike by --labels"
        )
    for label, (source,) in alone.iter_rows():
        note(f"leave-source-out: class {label!r} is left out: {source} alone has it")
    return used & ~frame["label"].is_in(alone["label"].implode())


def _random(material: ProtocolInput) -> Folds:
    """Draw single slices, whether they have copies or not."""
    alone = material.frame.with_columns(group=pl.int_range(pl.len()))
    return {"": _draw(alone, material.seed, key=SLICE_KEY)}


def _fold(material: ProtocolInput, used: pl.Series, test: pl.Series) -> pl.Series:
    """Assign `test` rows to test, and draw validation by group from the other used rows; null if not used."""
    frame = material.frame
    subsets = _subsets(frame, pl.when(test).then(pl.lit("test")).otherwise(pl.lit("train")))
    return _on_rows(
        used,
        frame.with_columns(_subset=subsets),
        lambda rows: _with_validation(rows, rows["_subset"], material),
    )


def _with_validation(frame: pl.DataFrame, subsets: pl.Series, material: ProtocolInput) -> pl.Series:
    """Draw a validation subset from the training subset."""
    train = subsets == "train"
    drawn = _draw(frame.filter(train), material.seed, test=0.0, validation=material.validation_share)
    return subsets.scatter(train.arg_true(), drawn)


def _on_rows(used: pl.Series, frame: pl.DataFrame, assign: Callable[[pl.DataFrame], pl.Series]) -> pl.Series:
    """Assign subsets to the used rows, and null to the others."""
    nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return nothing.scatter(used.arg_true(), assign(frame.filter(used)))


def _subsets(frame: pl.DataFrame, expression: pl.Expr) -> pl.Series:
    """Evaluate an expression to a column of subsets."""
    return frame.select(expression.alias("subset")).to_series()


def _draw(
    frame: pl.DataFrame,
    seed: int,
    *,
    test: float = TEST_SHARE,
    validation: float = SAMPLED_VALIDATION_SHARE,
    key: pl.Expr = GROUP_KEY,
) -> pl.Series:
    """Draw test, validation and training subsets by whole groups, stratified by class."""
    drawn = draw_position(frame, seed, key)
    return _subsets(
        frame,
        pl.when(drawn < test)
        .then(pl.lit("test"))
        .when(drawn < test + validation)
        .then(pl.lit("val"))
        .otherwise(pl.lit("train")),
    )


PROTOCOLS: dict[str, Protocol] = {
    "official": Protocol(
        _official,
        "The sources' own test folders. Copies and patients shared with training are not removed, "
        "so the number is comparable with published ones and likely too high.",
        disjoint="slices",
    ),
    "official-clean": Protocol(
        _official_clean,
        "The sources' own test folders without every slice that has a copy in training or validation: "
        "identical, nearly so, mirrored, turned or cropped. Patients may still be shared.",
        disjoint="copies",
    ),
    "grouped": Protocol(
        _grouped,
        "70/15/15 over all sources merged, by class. No group is cut: a group is a known patient, else one "
        "study or file, with all copies the audit found. Identical slices count once.",
        disjoint="groups",
    ),
    "folds": Protocol(
        _folds,
        "Every slice of the merged set is tested once, by a model that trained on the other folds. Folds are "
        "those of the groups file, else five by class that cut no group.",
        disjoint="groups",
    ),
    "leave-source-out": Protocol(
        _leave_source_out,
        "Every source is tested once, by a model that trained on the others, without what they share. Left "
        "out are classes that one source alone has, and sources that the others share too much with.",
        disjoint="groups",
    ),
    "random": Protocol(
        _random,
        "70/15/15 slice by slice, as many projects do. LEAKY: copies and patients are on both sides, so the "
        "number is too high; it is here to compare.",
        disjoint="slices",
        leaky=True,
    ),
}
NEED_TEST_FOLDER = ("official", "official-clean")
NO_TEST_FOLDER_NOTE = "No source has a test folder of its own, so `official` does not apply."


def check_protocols(names: Sequence[str]) -> None:
    """Raise SplitError if a name is not one of `PROTOCOLS`."""
    for name in names:
        if name not in PROTOCOLS:
            raise SplitError(f"unknown protocol {name!r}; choose from {', '.join(PROTOCOLS)}")


def has_test_folder(frame: pl.DataFrame) -> bool:
    """Return whether a source of the catalogue frame has an official test subset."""
    return bool((frame["official"] == "test").any())


def default_protocols(frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the protocols for users who name none; print a note if they are not "official"."""
    if has_test_folder(frame):
        return ("official",)
    note(f"{NO_TEST_FOLDER_NOTE} Taken instead: --protocol grouped")
    return ("grouped",)


def missing_test_folder(sources: Sequence[str]) -> SplitError:
    """Make the error for sources that have no official test subset, for protocols in `NEED_TEST_FOLDER`."""
    return SplitError(
        f"no test folder in {', '.join(sorted(sources))}; "
        "use --protocol grouped, or name the folders Training and Testing"
    )
