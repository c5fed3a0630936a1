"""Write a cleaned dataset as a folder tree that `scan` reads back."""

import errno
import os
import shutil
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import count, starmap
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from PIL import Image

from gliascope.audit.decisions import Decisions, apply_labels
from gliascope.dataset.catalog import FILE_COLUMNS, Catalog, read_catalogued
from gliascope.dataset.groups import number_groups
from gliascope.dataset.merge import exclusion_reasons
from gliascope.dataset.scan import pixel_hash
from gliascope.errors import GliascopeError, LayoutError
from gliascope.io import folder_labels
from gliascope.runtime.files import atomic_folder, safe_name
from gliascope.runtime.progress import progress

LEFT_OUT, GROUPS, LABELS = "left_out.csv", "groups.csv", "labels.yaml"
SUBSET_FOLDERS = {"train": "Training", "val": "Validation", "test": "Testing"}
MODALITIES = ("CT", "MR")
Row = dict[str, Any]
_GROUPS_SCHEMA = {"path": pl.String, "group": pl.String, "fold": pl.Int32}


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What `export_dataset` wrote.

    Parameters
    ----------
    files
        Number of files by how they were made: linked, copied or decoded.
    left_out
        Columns path, index, label and why; files that `scan` could not read have no index and no label.
    tables
        Which of the tables GROUPS and LABELS were written into the folder.
    """

    files: dict[str, int]
    left_out: pl.DataFrame
    tables: tuple[str, ...]


def export_dataset(
    catalog: Catalog, out: Path, decisions: Decisions | None = None, copy: bool = False
) -> ExportSummary:
    """Write the merged slices of a catalogue as folders `out/[subset/][modality/]label/source-name`.

    A file becomes a hard link or, if links cannot be made, a copy. A file that also holds excluded slices, or
    states another label than its new folder, becomes one PNG of decoded pixels for each exported slice.
    `left_out.csv` lists the slices that are not exported, and why; `groups.csv` lists groups and patients.
    The folder appears only once it is complete.

    Parameters
    ----------
    catalog
        The catalogue whose slices are exported.
    out
        The new folder.
    decisions
        The audit's decisions, which drop and relabel slices first.
    copy
        Whether to copy all files instead of linking them.

    Returns
    -------
    ExportSummary
        What was written and what was left out.

    Raises
    ------
    GliascopeError
        If `out` is not empty or its name means a subset, if decisions do not fit the catalogue, or if a file
        changed since it was scanned.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise GliascopeError(f"{out}: already there; remove it, or choose another folder by --out")
    if folder_labels.labels_of_folders((out.name, ""), {}).subset:
        raise LayoutError(
            f"{out}: `scan` takes a folder of this name for a training, validation or test folder; "
            "choose another name"
        )
    frame = catalog.frame
    if decisions:
        frame = apply_labels(frame, decisions.frame)
        # Decisions may have settled a label conflict, or dropped the copy that was kept.
        frame = frame.with_columns(exclusion_reason=exclusion_reasons(frame))
    scanned = Counter(starmap(Path, catalog.frame.select("root", "path").iter_rows()))
    left_out = _left_out(catalog, frame)
    files = _files(frame.with_columns(known=_identities(frame)))
    with atomic_folder(out) as folder, progress("export", len(files)) as advance:
        writer = _Writer(folder, copy)
        for file, rows in files.items():
            kept = [row for row in rows if row["exclusion_reason"] is None]
            if kept and _can_be_whole(rows, scanned[file]):
                writer.whole(file, kept[0])
            elif kept:
                writer.slices(file, kept)
            advance(1)
        left_out.write_csv(folder / LEFT_OUT)
        tables = writer.finish()
    return ExportSummary(dict(writer.files), left_out, tables)


def _left_out(catalog: Catalog, frame: pl.DataFrame) -> pl.DataFrame:
    """List what is not exported, and why."""
    dropped = catalog.frame.join(frame, on=["root", "path", "index"], how="anti")
    unread = catalog.excluded.select("path", why=pl.lit("not read: ") + pl.col("reason"))
    parts = [
        frame.filter(pl.col("exclusion_reason").is_not_null()).select(
            "path", "index", "label", why="exclusion_reason"
        ),
        dropped.select("path", "index", "label", why=pl.lit("dropped by decision")),
        unread,
    ]
    return pl.concat(parts, how="diagonal").sort("path", "index")


def _identities(frame: pl.DataFrame) -> pl.Series:
    """Return one name for slices that share a group, patient or study; null for slices without."""
    named = ("group", "patient", "study")
    first = [pl.col(name).drop_nulls().first().over("joined") for name in named]
    known = pl.any_horizontal(pl.col(name).is_not_null() for name in named)
    numbered = frame.with_columns(joined=pl.Series(number_groups(frame)))
    return numbered.select(pl.when(known).then(pl.coalesce(first))).to_series()


def _files(frame: pl.DataFrame) -> dict[Path, list[Row]]:
    """Return the slices of each file."""
    files: dict[Path, list[Row]] = {}
    for row in frame.iter_rows(named=True):
        files.setdefault(Path(row["root"], row["path"]), []).append(row)
    return files


def _can_be_whole(rows: list[Row], slices: int) -> bool:
    """Return whether a file can be exported unchanged, because scanning it again gives the same slices.

    Copies in the file are allowed, for the next scan excludes them again. A file is not exported unchanged if
    decisions dropped some of its slices, one of its slices is in a label conflict, the file states another
    label than its folder, or its intensity scale depends on other files.
    """
    aside = [row["exclusion_reason"] or "" for row in rows]
    return (
        len(rows) == slices
        and rows[0]["scale"] is None
        and len({row["label"] for row in rows}) == 1
        and not any(reason.startswith("label conflict") for reason in aside)
        and (rows[0]["format"] != "figshare-mat" or rows[0]["label"] == rows[0]["raw_label"])
    )


class _Writer:
    """Writes files under unique names and records their groups."""

    def __init__(self, folder: Path, copy: bool) -> None:
        self.folder = folder
        self.copy = copy
        self.files: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._groups: list[Row] = []
        self._labels: dict[str, str] = {}  # label by name of folder

    def whole(self, source: Path, row: Row) -> None:
        """Link or copy a file."""
        if source.stat().st_size != row["bytes"]:
            raise GliascopeError(f"{source}: changed since it was scanned; scan again")
        target = self._place(row, source.name)
        if self.copy or not _link(source, target):
            shutil.copyfile(source, target)
            self.files["copied"] += 1
        else:
            self.files["linked"] += 1
        self._remember(row, target, row["known"])

    def slices(self, source: Path, rows: list[Row]) -> None:
        """Write some slices of a file as PNG."""
        items = read_catalogued(*(rows[0][name] for name in FILE_COLUMNS))
        for row in rows:
            if row["index"] >= len(items) or pixel_hash(items[row["index"]].pixels) != row["pixel_hash"]:
                raise GliascopeError(f"{source}: changed since it was scanned; scan again")
            target = self._place(row, f"{source.stem}-{row['index']:03d}.png")
            Image.fromarray(items[row["index"]].pixels).save(target)
            self.files["decoded"] += 1
            # A PNG states neither its patient nor the file that it was cut from.
            self._remember(row, target, row["known"] or row["path"])

    def finish(self) -> tuple[str, ...]:
        """Write the tables that `scan` needs besides the folders; returns their names."""
        written = []
        if self._groups:
            table = pl.DataFrame(self._groups, schema=_GROUPS_SCHEMA)
            table = table.drop("fold") if table["fold"].is_null().all() else table
            table.write_csv(self.folder / GROUPS)
            written.append(GROUPS)
        known = {folder: folder_labels.labels_of_folders(("", folder), {}).label for folder in self._labels}
        unknown = {folder: label for folder, label in sorted(self._labels.items()) if known[folder] != label}
        if unknown:
            # Quoted: YAML would read the class names yes and no as true and false.
            text = yaml.safe_dump(unknown, allow_unicode=True, default_style='"', width=10_000)
            (self.folder / LABELS).write_text(text, encoding="utf-8")
            written.append(LABELS)
        return tuple(written)

    def _place(self, row: Row, name: str) -> Path:
        levels = [
            SUBSET_FOLDERS.get(row["official"]),
            row["modality"] if row["modality"] in MODALITIES else None,
        ]
        folder = self.folder.joinpath(*filter(None, levels), safe_name(row["label"]))
        folder.mkdir(parents=True, exist_ok=True)
        source = row["source"].lstrip(".")  # a hidden file would not be scanned
        names = (safe_name(f"{source}-{f'{n}-' if n > 1 else ''}{name}") for n in count(1))
        target = next(folder / name for name in names if _same(folder / name) not in self._taken)
        self._taken.add(_same(target))
        self._labels[folder.name] = row["label"]
        return target

    def _remember(self, row: Row, target: Path, group: str | None) -> None:
        if group is not None:
            path = target.relative_to(self.folder).as_posix()
            self._groups.append({"path": path, "group": group, "fold": row["fold"]})


def _same(path: Path) -> str:
    """Return a key that is equal for names that some file system, like macOS's, treats as the same."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _link(source: Path, target: Path) -> bool:
    """Make a hard link, following symbolic links. Returns False if hard links cannot be made here."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOSPC):
            raise
        return False
    return True
