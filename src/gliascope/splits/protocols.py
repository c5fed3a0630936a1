"""Protocols: the named ways to divide a catalogue. Each is a function from Material to rounds of parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from gliascope.audit.leaks import has_copy
from gliascope.errors import SplitError
from gliascope.runtime.progress import note
from gliascope.splits.draws import GROUP_KEY, SLICE_KEY, draw_position

DRAWN_VALIDATION_SHARE = TEST_SHARE = 0.15
VALIDATION_SHARE = 0.1  # for validation, where the test set has been taken already
FOLD_COUNT = 5

Folds = dict[str, pl.Series]  # a part (train, val, test or null: not used) for each row, by round


@dataclass(frozen=True, slots=True)
class ProtocolInput:
    """frame: catalogue rows with group numbers; pairs: near copies, if there was an audit; seed: of draws;
    validation: share of a given training part.
    """

    frame: pl.DataFrame
    pairs: pl.DataFrame | None
    seed: int
    validation_share: float = VALIDATION_SHARE

    @property
    def in_merged_set(self) -> pl.Series:
        """Whether a row is in the merged set, in which identical slices are once and conflicts are not."""
        return self.frame["exclusion_reason"].is_null()


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a protocol assigns parts, and what a reader must know about it.

    disjoint: what training and test never share: groups (patients, studies, files and copies), copies, or no
    more than slices. leaky: not to be believed.
    """

    assign: Callable[[ProtocolInput], Folds]
    description: str
    disjoint: Literal["groups", "copies", "slices"]
    leaky: bool = False


def _official(material: ProtocolInput) -> Folds:
    """The source's own test set; its own validation set, else one cut by group from what is left."""
    frame = material.frame
    if not has_test_folder(frame):
        raise missing_test_folder(frame["source"].unique().to_list())
    parts = frame["official"].fill_null("train")
    if (parts == "val").any():
        return {"": parts}
    return {"": _with_validation(frame, parts, material)}


def _official_clean(material: ProtocolInput) -> Folds:
    if material.pairs is None:
        raise SplitError("protocol 'official-clean' needs the audit's copies; add --audit DIR")
    frame, parts = material.frame, _official(material)[""]
    seen = has_copy(frame["pixel_hash"], frame["pixel_hash"].filter(parts != "test"), material.pairs)
    return {"": _parts(frame, pl.when((parts == "test") & seen).then(None).otherwise(parts))}


def _grouped(material: ProtocolInput) -> Folds:
    return {"": _on(material.in_merged_set, material.frame, lambda frame: _cut(frame, material.seed))}


def _folds(material: ProtocolInput) -> Folds:
    """Each fold of the CSV, else of FOLDS drawn by group, tests once."""
    frame, used = material.frame, material.in_merged_set
    # The file may name another copy than the one that was kept.
    fold = frame.select(pl.col("fold").drop_nulls().first().over("pixel_hash")).to_series()
    if fold.is_null().all():
        drawn = draw_position(frame.filter(used), material.seed)
        fold = fold.scatter(used.arg_true(), (drawn * FOLD_COUNT).floor().cast(pl.Int32) + 1)
    used &= fold.is_not_null()
    rounds = {}
    for number in fold.filter(used).unique().sort():
        test = fold == number
        rounds[f"fold {number}"] = _round(material, used & (test | ~_shares(frame, test & used)), test)
    return rounds


def _shares(frame: pl.DataFrame, test: pl.Series) -> pl.Series:
    """Whether each row is of a group that is tested: the folds or sources of a user may cut groups."""
    return frame["group"].is_in(frame["group"].filter(test).unique().implode())


def _leave_source_out(material: ProtocolInput) -> Folds:
    """Each source tests once; what shares a group with it does not train.

    All rounds have the same classes: those that two sources have. A round whose training then lacks one, or
    that has nothing to test, is left out.
    """
    frame = material.frame
    sources = frame["source"].unique(maintain_order=True)
    if len(sources) < 2:
        raise SplitError(
            f"protocol 'leave-source-out' needs two sources or more; {sources[0]} is the only one"
        )
    used = _in_two_sources(frame)
    classes = set(frame["label"].filter(used))
    rounds = {}
    for source in sources:
        test = frame["source"] == source
        parts = _round(material, used & (test | ~_shares(frame, test)), test)
        lacking = sorted(classes.difference(frame["label"].filter(parts == "train")))
        if lacking:
            note(f"leave-source-out: no round without {source}: no {lacking[0]!r} is left to train with")
        elif not (parts == "test").any():
            note(f"leave-source-out: no round without {source}: no other source has a class of it")
        else:
            rounds[f"without {source}"] = parts
    if not rounds:
        raise SplitError(
            "protocol 'leave-source-out' leaves no round: the sources share too much to test one another; "
            "use --protocol grouped"
        )
    return rounds


def _in_two_sources(frame: pl.DataFrame) -> pl.Series:
    """Which rows `leave-source-out` may use: each slice once a source, of classes that two sources have."""
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
    """Slice by slice, copies or not."""
    alone = material.frame.with_columns(group=pl.int_range(pl.len()))
    return {"": _cut(alone, material.seed, key=SLICE_KEY)}


def _round(material: ProtocolInput, used: pl.Series, test: pl.Series) -> pl.Series:
    """Test where `test`, validation cut by group from the rest; null where not used."""
    frame = material.frame
    parts = _parts(frame, pl.when(test).then(pl.lit("test")).otherwise(pl.lit("train")))
    return _on(
        used, frame.with_columns(_part=parts), lambda rows: _with_validation(rows, rows["_part"], material)
    )


def _with_validation(frame: pl.DataFrame, parts: pl.Series, material: ProtocolInput) -> pl.Series:
    """Cut a validation part from the training part."""
    train = parts == "train"
    drawn = _cut(frame.filter(train), material.seed, test=0.0, validation=material.validation_share)
    return parts.scatter(train.arg_true(), drawn)


def _on(used: pl.Series, frame: pl.DataFrame, assign: Callable[[pl.DataFrame], pl.Series]) -> pl.Series:
    """Assign parts to the rows that are used, null to the others."""
    nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return nothing.scatter(used.arg_true(), assign(frame.filter(used)))


def _parts(frame: pl.DataFrame, expression: pl.Expr) -> pl.Series:
    return frame.select(expression.alias("subset")).to_series()


def _cut(
    frame: pl.DataFrame,
    seed: int,
    *,
    test: float = TEST_SHARE,
    validation: float = DRAWN_VALIDATION_SHARE,
    key: pl.Expr = GROUP_KEY,
) -> pl.Series:
    """Draw test, validation and training parts by whole groups, stratified by class."""
    drawn = draw_position(frame, seed, key)
    return _parts(
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
    """Raise SplitError for a name that is none of PROTOCOLS."""
    for name in names:
        if name not in PROTOCOLS:
            raise SplitError(f"unknown protocol {name!r}; choose from {', '.join(PROTOCOLS)}")


def has_test_folder(frame: pl.DataFrame) -> bool:
    """Whether a source of the catalogue frame has a test subset of its own."""
    return bool((frame["official"] == "test").any())


def default_protocols(frame: pl.DataFrame) -> tuple[str, ...]:
    """What a catalogue frame is split by where the user names no protocol; said on screen if not official."""
    if has_test_folder(frame):
        return ("official",)
    note(f"{NO_TEST_FOLDER_NOTE} Taken instead: --protocol grouped")
    return ("grouped",)


def missing_test_folder(sources: Sequence[str]) -> SplitError:
    """What to say where sources lack what NEEDS_TEST needs."""
    return SplitError(
        f"no test folder in {', '.join(sorted(sources))}; "
        "use --protocol grouped, or name the folders Training and Testing"
    )
