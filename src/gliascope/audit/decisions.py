"""Decisions of a person on doubtful slices: read from an edited decisions.csv, applied when data are split.

All tables of decisions have the columns of `result.DECISIONS_SCHEMA`.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gliascope.audit.result import LABEL_ISSUE, read_decisions
from gliascope.classes import canonical_class
from gliascope.errors import LayoutError

ACTIONS = {
    "conflict": ("keep", "drop", "relabel"),
    LABEL_ISSUE: ("keep", "drop", "relabel"),
    "pair": ("same", "different"),
}


@dataclass(frozen=True, slots=True)
class Decisions:
    """A person's decisions.

    Parameters
    ----------
    frame
        One row a decision.
    file
        Name of the file they were read from.
    sha256
        Hash of the file's bytes, hexadecimal.
    """

    frame: pl.DataFrame
    file: str
    sha256: str

    @classmethod
    def load(cls, path: Path) -> "Decisions":
        """Read an edited decisions.csv.

        Raises
        ------
        LayoutError
            If a line is no decision. The message names the line.
        """
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
        """Check that all slices that would change are in files of the sources.

        Parameters
        ----------
        names
            Paths of all files of the sources, as in the catalogue's column `path`.

        Raises
        ------
        LayoutError
            If a decision other than "keep" names another file.
        """
        decided = self.frame.filter(pl.col("action") != "keep")
        paths = [*decided["path"], *decided.filter(pl.col("kind") == "pair")["other_path"]]
        if unknown := [path for path in paths if path not in names]:
            raise LayoutError(
                f"{self.file}: {unknown[0]} is decided on, but is no file of the sources, whose paths "
                f"look like {min(names, default='nothing')}; use the decisions of their own audit"
            )

    def check_classes(self, classes: Iterable[str]) -> None:
        """Raise LayoutError if a new label is none of these classes."""
        new = self.frame.filter(pl.col("action") == "relabel")
        known = sorted(classes)
        if unknown := [label for label in new["new_label"] if canonical_class(label) not in known]:
            raise LayoutError(
                f"{self.file}: new_label {unknown[0]!r} is no class of the sources; choose from "
                f"{', '.join(known)}"
            )

    @property
    def summary(self) -> str:
        """The number of decisions by action, and the name and hash of their file, in one sentence."""
        counts = self.frame["action"].value_counts().sort("action").iter_rows()
        each = ", ".join(f"{count} {action}" for action, count in counts) or "none"
        return f"Decisions of {self.file}: {each}; SHA-256 {self.sha256}"

    def pairs(self, action: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Find the pairs of slices with a decision.

        Parameters
        ----------
        action
            "same" or "different".
        frame
            Catalogue rows.

        Returns
        -------
        pl.DataFrame
            Pixel hashes in columns a and b, a < b.

        Raises
        ------
        LayoutError
            If a decision names a slice that is not in the catalogue.
        """
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
    """Drop and relabel slices as decided.

    A decision on a slice holds for all slices with the same pixels and label. If one row says to drop a
    slice, it is dropped, whatever other rows say.

    Parameters
    ----------
    frame
        Catalogue rows.
    decisions
        The table of a `Decisions`.

    Returns
    -------
    pl.DataFrame
        The remaining catalogue rows in their order, with new labels.

    Raises
    ------
    LayoutError
        If a decision names a slice that is not in the catalogue, a new label is no class of it, or two rows
        give a slice different labels.
    """
    about = decisions.filter(pl.col("action").is_in(["drop", "relabel"]))
    _check_known(about, frame)
    same = ["pixel_hash", "label"]
    about = about.drop("label").join(frame.select("path", "index", *same), on=["path", "index"])
    dropped = about.filter(pl.col("action") == "drop")
    new = (
        about.filter(pl.col("action") == "relabel")
        .select(
            "path", *same, decided=pl.col("new_label").map_elements(canonical_class, return_dtype=pl.String)
        )
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
    unknown = about.join(frame, on=["path", "index"], how="anti")
    if unknown.height:
        path, index = unknown.select("path", "index").row(0)
        raise LayoutError(
            f"{path} (index {'not given' if index is None else index}) is decided on, but not in this "
            f"catalogue, whose paths look like {frame['path'][0]}; use the decisions of its own audit"
        )
