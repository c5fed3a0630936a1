"""What a person decides about doubtful slices: proposed by the audit, edited by hand, applied by `split`."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gliascope.data.audit.result import DECISIONS_SCHEMA, read_decisions
from gliascope.data.content import content
from gliascope.data.labels import canonical
from gliascope.errors import LayoutError

ACTIONS = {
    "conflict": ("keep", "drop", "relabel"),
    "suspect_label": ("keep", "drop", "relabel"),
    "pair": ("same", "different"),
}


@dataclass(frozen=True, slots=True)
class Decisions:
    """frame: rows of DECISIONS_SCHEMA; file: its name and the SHA-256 of its bytes."""

    frame: pl.DataFrame
    file: str
    sha256: str

    @classmethod
    def load(cls, path: Path) -> "Decisions":
        """Read an edited decisions.csv. Raises LayoutError, with the line, for what is no decision."""
        frame, lines = read_decisions(path)
        frame = frame.with_columns(pl.col("action").str.strip_chars().str.to_lowercase())
        for line, row in zip(lines, frame.iter_rows(named=True), strict=True):
            allowed = ACTIONS.get(row["kind"], ())
            if row["action"] not in allowed:
                raise LayoutError(
                    f"{path}, line {line}: expected an action of a {row['kind']} "
                    f"({', '.join(allowed) or 'unknown kind'}) but got {row['action']!r}"
                )
            if row["action"] == "relabel" and not row["new_label"]:
                raise LayoutError(f"{path}, line {line}: relabel needs a class in new_label")
        return cls(frame, path.name, hashlib.sha256(path.read_bytes()).hexdigest())

    def check_files(self, names: Collection[str]) -> None:
        """Raise LayoutError where a slice that is decided on is of none of these files of the sources."""
        decided = self.frame.filter(pl.col("action") != "keep")
        told = [*decided["path"], *decided.filter(pl.col("kind") == "pair")["other_path"]]
        if strangers := [path for path in told if path not in names]:
            raise LayoutError(
                f"{self.file}: {strangers[0]} is decided on, but is no file of the sources, whose paths "
                f"look like {min(names, default='nothing')}; use the decisions of their own audit"
            )

    def check_classes(self, classes: Iterable[str]) -> None:
        """Raise LayoutError for a new label that is none of these."""
        new = self.frame.filter(pl.col("action") == "relabel")
        known = sorted(classes)
        if unknown := [label for label in new["new_label"] if canonical(label) not in known]:
            raise LayoutError(
                f"{self.file}: new_label {unknown[0]!r} is no class of the sources; choose from "
                f"{', '.join(known)}"
            )

    @property
    def summary(self) -> str:
        """How many decisions there are of each action, and the file they are from."""
        counts = self.frame["action"].value_counts().sort("action").iter_rows()
        each = ", ".join(f"{count} {action}" for action, count in counts) or "none"
        return f"Decisions of {self.file}: {each}; SHA-256 {self.sha256}"

    def pairs(self, action: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Pixel hashes (columns a < b) of the pairs decided `same` or `different`."""
        hashes = frame.select("path", "index", hash="pixel_hash")
        pairs = self.frame.filter((pl.col("kind") == "pair") & (pl.col("action") == action))
        _check_known(pairs, frame)
        _check_known(pairs.select(path="other_path", index="other_index"), frame)
        return (
            pairs.join(hashes.rename({"hash": "a"}), on=["path", "index"])
            .join(
                hashes.rename({"path": "other_path", "index": "other_index", "hash": "b"}),
                on=["other_path", "other_index"],
            )
            .select(a=pl.min_horizontal("a", "b"), b=pl.max_horizontal("a", "b"))
        )


def apply_labels(frame: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Drop and relabel slices of a catalogue frame as decided; the order stays.

    What is decided about a slice holds for all slices with the same pixels and label; one that is dropped in
    any row is dropped. Raises LayoutError where a decision names a slice the catalogue does not hold.
    """
    about = decisions.filter(pl.col("action").is_in(["drop", "relabel"]))
    _check_known(about, frame)
    same = ["pixel_hash", "label"]
    about = about.drop("label").join(frame.select("path", "index", *same), on=["path", "index"])
    dropped = about.filter(pl.col("action") == "drop")
    new = (
        about.filter(pl.col("action") == "relabel")
        .select("path", *same, decided=pl.col("new_label").map_elements(canonical, return_dtype=pl.String))
        .unique([*same, "decided"], keep="first", maintain_order=True)
    )
    unknown = new.filter(~pl.col("decided").is_in(frame["label"].unique().implode()))["decided"]
    if len(unknown):
        classes = ", ".join(sorted(frame["label"].unique()))
        raise LayoutError(f"new_label {unknown[0]!r} is no class of this catalogue; choose from {classes}")
    twice = new.filter(pl.struct(same).is_duplicated())
    if twice.height:
        raise LayoutError(
            f"{twice['path'][0]}, or a slice of the same pixels, is to become "
            f"{' and '.join(twice['decided'][:2])}; keep one of these decisions"
        )
    new = new.drop("path")
    return (
        frame.join(dropped, on=same, how="anti", maintain_order="left")
        .join(new, on=same, how="left", maintain_order="left")
        .with_columns(label=pl.coalesce("decided", "label"))
        .select(frame.columns)
    )


def _check_known(about: pl.DataFrame, frame: pl.DataFrame) -> None:
    strangers = about.join(frame, on=["path", "index"], how="anti")
    if strangers.height:
        path, index = strangers.select("path", "index").row(0)
        raise LayoutError(
            f"{path} (index {'not given' if index is None else index}) is decided on, but not in this "
            f"catalogue, whose paths look like {frame['path'][0]}; use the decisions of its own audit"
        )


def conflicts(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Slices with identical pixels or a near copy under another label: propose to drop both sides."""
    hashes = content(frame).drop_nulls().unique()
    same = pl.DataFrame({"a": hashes, "b": hashes}).with_columns(correlation=pl.lit(1.0))
    linked = pl.concat([same, pairs.filter(~pl.col("cut")).select("a", "b", "correlation")])
    both = pl.concat([linked, linked.select(a="b", b="a", correlation="correlation")]).unique(["a", "b"])
    mine = frame.select("path", "index", "label", a="pixel_hash")
    theirs = frame.select(other_path="path", other_index="index", other_label="label", b="pixel_hash")
    found = (
        mine.join(both, on="a")
        .join(theirs.unique(["b", "other_label"], keep="first", maintain_order=True), on="b")
        .filter(pl.col("label") != pl.col("other_label"))
        .sort("correlation", "path", "index", "other_path", descending=[True, False, False, False])
        .unique(["path", "index"], keep="first", maintain_order=True)
    )
    return _rows(found, "conflict", "drop")


def doubtful_pairs(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs (of PAIRS_SCHEMA) just below the threshold: propose to treat them as different."""
    first = frame.unique("pixel_hash", keep="first", maintain_order=True)
    mine = first.select("path", "index", "label", a="pixel_hash")
    theirs = first.select(other_path="path", other_index="index", other_label="label", b="pixel_hash")
    found = (
        pairs.join(mine, on="a").join(theirs, on="b").sort("correlation", "path", descending=[True, False])
    )
    return _rows(found, "pair", "different")


def suspects(found: pl.DataFrame) -> pl.DataFrame:
    """Likely wrong labels (columns path, index, label, evidence, new_label, flagged).

    In a folder that stands out, propose to drop them; elsewhere to keep them: a probe's doubt about one slice
    is no proof, and a test set must not be cleaned of what is hard.
    """
    action = pl.when("flagged").then(pl.lit("drop")).otherwise(pl.lit("keep"))
    return _rows(found.with_columns(action=action), "suspect_label", None)


def _rows(found: pl.DataFrame, kind: str, action: str | None) -> pl.DataFrame:
    if "correlation" in found.columns:
        found = found.with_columns(evidence="correlation")
    if action:
        found = found.with_columns(action=pl.lit(action))
    found = found.with_columns(kind=pl.lit(kind))
    missing = [pl.lit(None).alias(name) for name in DECISIONS_SCHEMA if name not in found.columns]
    return found.with_columns(missing).select(list(DECISIONS_SCHEMA)).cast(DECISIONS_SCHEMA)  # type: ignore[arg-type]
