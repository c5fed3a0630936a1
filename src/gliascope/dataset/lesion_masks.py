"""Slices with an outlined lesion, against which saliency maps are compared."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.classes import canonical_class
from gliascope.dataset.table_file import TableFile
from gliascope.errors import LayoutError
from gliascope.io import read
from gliascope.io.scales import SeriesScale
from gliascope.io.series import series_scales
from gliascope.io.slices import Slice
from gliascope.runtime.folders import files_below

MASK_COLUMNS = ("path", "mask", "label")
_LOSSY = ("jpeg", "webp")


def masked_slices(path: Path) -> Iterator[Slice]:
    """Yield the slices that show a lesion, with `mask`, `label`, `patient` and `study`.

    Slices come in a fixed order that looks random, so that the first of them are a sample.

    Parameters
    ----------
    path
        A CSV with the columns path, mask, label and optionally group (a patient), whose paths start at its
        own folder. A mask is an image, or a volume with as many slices; every pixel that is not black is
        lesion. Otherwise a file, or a folder of files, that hold mask and label themselves, as figshare's
        .mat files do.

    Raises
    ------
    LayoutError
        If the path is missing, the table lacks a column, or a mask does not have the size of its slice.
    ReadError
        If a file cannot be read.
    """
    if not path.exists():
        raise LayoutError(f"{path}: not found; give a CSV with the columns {', '.join(MASK_COLUMNS)}")
    own = path.suffix.lower() not in (".csv", ".tsv")
    rows = [{"path": str(path)} for path in (files_below(path) if path.is_dir() else [path])]
    rows = sorted(rows if own else _table(path), key=_shuffled)
    scales = {} if own else series_scales(_beside(path, row["path"]) for row in rows)
    for row in rows:
        for item in _own(row) if own else _paired(path, row, scales):
            if item.mask is not None and item.mask.any() and item.label:
                yield item


def _shuffled(row: dict[str, str]) -> bytes:
    """Return a sort key that depends on the last two names of a row's path, wherever the folder lies."""
    name = "/".join(Path(row["path"]).parts[-2:])  # wherever the folder lies
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape")).digest()


def _table(csv_file: Path) -> list[dict[str, str]]:
    """Read the rows of a table of masks."""
    table = TableFile.read(csv_file)
    own = {name: table.find_column([name]) for name in (*MASK_COLUMNS, "group")}
    cells = {name: table.cells(column) for name, column in own.items() if column is not None}
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if (
        not rows
        or not set(MASK_COLUMNS).issubset(cells)
        or any(not row[name] for row in rows for name in MASK_COLUMNS)
    ):
        raise LayoutError(
            f"{csv_file}: expected rows with the columns {', '.join(MASK_COLUMNS)}, none empty, but got "
            f"{table.column_names}"
        )
    return rows


def _paired(csv_file: Path, row: dict[str, str], scales: Mapping[Path, SeriesScale]) -> Iterator[Slice]:
    """Yield the slices of one row of the table, with their masks."""
    path, mask_path = _beside(csv_file, row["path"]), _beside(csv_file, row["mask"])
    slices, masks = read(path, scales.get(path)), [_lesion(item) for item in read(mask_path)]
    if [item.pixels.shape[:2] for item in slices] != [mask.shape for mask in masks]:
        raise LayoutError(f"{mask_path}: expected as many slices as {path}, and of its size; see {csv_file}")
    for item, mask in zip(slices, masks, strict=True):
        own = item.patient or item.study
        group = row.get("group") or own or row["path"]
        yield replace(item, mask=mask, label=canonical_class(row["label"]), patient=group, study=own)


def _beside(csv_file: Path, text: str) -> Path:
    """Return the file that a cell names, counted from the table's folder.

    Leading folders that do not exist here are taken for another machine's and left out.
    """
    parts = text.replace("\\", "/").split("/")
    tails = (csv_file.parent / "/".join(parts[cut:]) for cut in range(len(parts)))
    return next((path for path in tails if path.is_file()), csv_file.parent / "/".join(parts))


def _own(row: dict[str, str]) -> Iterator[Slice]:
    """Yield the slices of a file that holds masks itself."""
    for item in read(Path(row["path"])):
        yield replace(item, patient=item.patient or item.study or row["path"])


def _lesion(item: Slice) -> NDArray[np.bool_]:
    """Return where a mask file marks a lesion, bool (height, width).

    Readers spread the values of a volume over all grey levels, so only black means "no lesion".
    """
    least = 127 if item.format in _LOSSY else 0  # lossy compression leaves grey around the white
    pixels = item.pixels if item.pixels.ndim == 2 else item.pixels.max(axis=2)
    return np.asarray(pixels > least)
