"""The store: preprocessed slices in one memory-mapped array, named by its content."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import polars as pl
from numpy.typing import NDArray
from platformdirs import user_cache_path

from gliascope import __version__
from gliascope.dataset.catalog import FILE_COLUMNS, read_catalogued
from gliascope.dataset.scan import pixel_hash
from gliascope.errors import GliascopeError, ReadError
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.runtime.executors import Executor, map_with_progress
from gliascope.runtime.files import check_writable
from gliascope.runtime.paths import to_path
from gliascope.runtime.process_pool import decoding_executor
from gliascope.runtime.progress import note
from gliascope.runtime.resumable_array import ResumableArray

PIXELS_FILE = "pixels.npy"
SLICES_PER_TASK = 100  # slices; a kill loses no more a core
MAX_NAMED_FILES = 5
GRAPH_SETTINGS = {
    "centre",
    "mean",
    "std",
}  # of preprocessing: what the exported graph does, to no stored pixel

_Decoded = tuple[dict[int, NDArray[np.uint8]], dict[str, str]]  # pixels by row; reasons by file


@dataclass(frozen=True, slots=True)
class _File:
    """A file to decode.

    Parameters
    ----------
    file
        Arguments of `read_catalogued`: root, path and scale.
    asked
        Index, pixel hash and row in the store of each slice that is wanted from the file.
    """

    file: tuple[str, str, str | None]
    asked: list[tuple[int, str, int]]


@dataclass(frozen=True, slots=True)
class Store:
    """Preprocessed slices on disk. Identical slices are stored once.

    Parameters
    ----------
    folder
        Where the pixels are; its name is a hash of the content.
    preprocessing
        How slices were preprocessed.
    pixels
        uint8 (slices, size, size) or (slices, size, size, 3), memory-mapped.
    hashes
        Pixel hash of each row before preprocessing, sorted, str (slices,).
    missing
        Rows whose files are gone or have changed since the scan, int64.
    """

    folder: Path
    preprocessing: Preprocessing
    pixels: NDArray[np.uint8]
    hashes: NDArray[np.str_]
    missing: NDArray[np.int64]

    @property
    def key(self) -> str:
        """Name of this content under this preprocessing."""
        return self.folder.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process map the file again instead of sending it the pixels."""
        return Store.open, (self.folder, self.preprocessing, self.hashes, self.missing)

    @classmethod
    def open(
        cls, folder: Path, preprocessing: Preprocessing, hashes: NDArray[np.str_], missing: NDArray[np.int64]
    ) -> "Store":
        """Map the pixels that are in `folder`. Parameters as in `Store`."""
        return cls(
            folder, preprocessing, ResumableArray(folder / PIXELS_FILE, len(hashes)).open(), hashes, missing
        )

    def has_same_pixels(self, preprocessing: Preprocessing) -> bool:
        """Return whether slices have the same stored pixels under another preprocessing."""
        own, other = (one.model_dump(exclude=GRAPH_SETTINGS) for one in (self.preprocessing, preprocessing))
        return own == other

    def rows(self, pixel_hashes: pl.Series) -> NDArray[np.int64]:
        """Return the rows of `pixels` that hold the given slices.

        Parameters
        ----------
        pixel_hashes
            Pixel hashes of slices, String (n,).

        Returns
        -------
        numpy.ndarray
            int64 (n,).

        Raises
        ------
        GliascopeError
            If a slice is not in the store, or its file was missing when the store was built.
        """
        wanted = pixel_hashes.to_numpy().astype(self.hashes.dtype)
        rows = np.searchsorted(self.hashes, wanted).clip(max=len(self.hashes) - 1)
        if (self.hashes[rows] != wanted).any():
            raise GliascopeError(f"{self.folder}: this store is of another catalogue; run `gliascope store`")
        if np.isin(rows, self.missing).any():
            raise GliascopeError(
                f"{self.folder}: slices were lost since the scan; run `gliascope scan` again"
            )
        return rows.astype(np.int64)

    def drop_missing(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a catalogue or split (column pixel_hash) whose slices are in the store."""
        return frame.filter(~pl.col("pixel_hash").is_in(self.hashes[self.missing].tolist()))


def cache_folder() -> Path:
    """Return the folder of stores and cached activations: GLIASCOPE_CACHE, else the user's cache folder.

    Raises
    ------
    GliascopeError
        If the user has no home folder and GLIASCOPE_CACHE is not set.
    """
    try:
        folder = Path(os.environ.get("GLIASCOPE_CACHE") or user_cache_path("gliascope")).expanduser()
    except RuntimeError:
        folder = Path("~")
    if folder.parts[:1] == ("~",):  # what earlier versions of platformdirs answer
        raise GliascopeError(
            "this user has no home folder for the cache; set GLIASCOPE_CACHE to another folder"
        )
    return folder


def check_cache() -> None:
    """Raise GliascopeError before the long work starts if the cache cannot be written."""
    folder = cache_folder()
    try:
        check_writable(folder)
    except OSError as error:
        raise GliascopeError(
            f"{folder}: the cache cannot be written there ({error.strerror}); set GLIASCOPE_CACHE to another "
            "folder"
        ) from None


def cache_usage() -> dict[Path, tuple[int, int]]:
    """Return the number of files and of bytes in each folder of the cache."""
    folders = [cache_folder() / name for name in ("store", "activations", "features")]
    files = {folder: [path for path in folder.rglob("*") if path.is_file()] for folder in folders}
    return {folder: (len(found), sum(map(_disk_bytes, found))) for folder, found in files.items()}


def _disk_bytes(path: Path) -> int:
    """Return the bytes that a file takes on disk, which for a sparse file is less than its size."""
    stat = path.stat()
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)


def clear_cache() -> None:
    """Delete all stores, activations and features; they are built again when they are needed."""
    for folder in cache_usage():
        shutil.rmtree(folder, ignore_errors=True)


def store(frame: pl.DataFrame, preprocessing: Preprocessing, executor: Executor | None = None) -> Store:
    """Find or build the store of a catalogue frame.

    An interrupted store is continued, and processes that need the same store share the work. Files that are
    gone or have changed since the scan are named in a note, and their slices are `missing`.

    Parameters
    ----------
    frame
        Catalogue rows, with the columns `FILE_COLUMNS`, index and pixel_hash.
    preprocessing
        How slices are preprocessed.
    executor
        What decodes the files; by default all cores of this machine. Only this process writes the store.

    Raises
    ------
    GliascopeError
        If none of the files can be read, or the cache cannot be written.
    """
    hashes = np.sort(frame["pixel_hash"].unique().to_numpy().astype("U32"))
    # Another version of ours or of Pillow may resize differently.
    content = hashlib.blake2b(f"{__version__} {PIL.__version__}".encode(), digest_size=10)
    content.update(preprocessing.model_dump_json(exclude=GRAPH_SETTINGS).encode())
    content.update(hashes.tobytes())
    folder = cache_folder() / "store" / content.hexdigest()
    lost = _fill(
        ResumableArray(folder / PIXELS_FILE, len(hashes)),
        frame,
        hashes=hashes,
        preprocessing=preprocessing,
        executor=executor,
    )
    return Store.open(folder, preprocessing, hashes, lost)


def _fill(
    file: ResumableArray,
    frame: pl.DataFrame,
    *,
    hashes: NDArray[np.str_],
    preprocessing: Preprocessing,
    executor: Executor | None,
) -> NDArray[np.int64]:
    """Store the missing slices, each from the first file that still holds it.

    Returns
    -------
    numpy.ndarray
        Rows that no file holds any more, int64.
    """
    done = file.written_rows()
    if done.all():
        return np.empty(0, dtype=np.int64)
    if done.any():
        note(f"store: {done.sum()} of {len(done)} slices were done before an interruption")
    check_cache()
    file.create(np.uint8, preprocessing.shape, reserve=True)
    rows = np.searchsorted(hashes, frame["pixel_hash"].to_numpy().astype(hashes.dtype))
    wanted_rows = frame.select(*FILE_COLUMNS, "index", "pixel_hash", row=pl.Series(rows))
    failed = dict[str, str]()
    with decoding_executor(executor, int((~done).sum())) as them:
        decode = them.wrap(partial(_decode, preprocessing=preprocessing))
        work = partial(_store, decode=decode, file=file)
        for some in (wanted_rows.unique("row", keep="first", maintain_order=True), wanted_rows):
            tasks = _tasks(some.filter(~pl.Series(done)[some["row"]]))
            # Other processes of a training may fill the same store: each has an order of its own.
            order = np.random.default_rng(os.getpid()).permutation(len(tasks))
            for stored, reasons in map_with_progress(
                work, [tasks[number] for number in order], "store", them
            ):
                done[stored] = True
                failed |= reasons
    if failed:
        _report_missing(failed, int((~done).sum()), len(done))
    return np.flatnonzero(~done)


def _tasks(wanted_rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Divide rows into tasks of about `SLICES_PER_TASK` slices; a row of a task is a file with its slices."""
    grouped = wanted_rows.group_by(FILE_COLUMNS, maintain_order=True).agg("index", "pixel_hash", "row")
    slices = pl.col("row").list.len()
    tasks = grouped.with_columns(task=(slices.cum_sum() - slices) // SLICES_PER_TASK)
    return tasks.partition_by("task", maintain_order=True, include_key=False)


def _store(
    task: pl.DataFrame, decode: Callable[[list[_File]], _Decoded], file: ResumableArray
) -> tuple[list[int], dict[str, str]]:
    """Decode and write the slices of one task.

    Returns
    -------
    rows, reasons
        The rows that are stored now, and what is wrong with each file that changed.
    """
    done = file.written_rows()
    files = [
        _File(row[: len(FILE_COLUMNS)], list(zip(*row[len(FILE_COLUMNS) :], strict=True)))
        for row in task.iter_rows()
    ]
    missing = [replace(one, asked=[slice_ for slice_ in one.asked if not done[slice_[2]]]) for one in files]
    missing = [one for one in missing if one.asked]
    pixels, failed = decode(missing) if missing else ({}, {})
    if pixels:
        file.write(np.array(list(pixels)), np.stack(list(pixels.values())))
    there = [row for one in files for _, _, row in one.asked if done[row] or row in pixels]
    return there, failed


def _decode(task: list[_File], preprocessing: Preprocessing) -> _Decoded:
    """Decode and preprocess slices; return pixels by row, and what is wrong with each file that changed."""
    pixels: dict[int, NDArray[np.uint8]] = {}
    failed: dict[str, str] = {}
    for one in task:
        name = str(to_path(one.file[0]) / one.file[1])
        try:
            slices = {item.index: item.pixels for item in read_catalogued(*one.file)}
        except ReadError as error:
            failed[name] = error.reason
            continue
        for index, wanted, row in one.asked:
            if index in slices and pixel_hash(slices[index]) == wanted:
                pixels[row] = preprocess(slices[index], preprocessing)
            else:
                failed[name] = "changed"
    return pixels, failed


def _report_missing(failed: dict[str, str], lost: int, all_: int) -> None:
    """Print a note on missing slices, or raise GliascopeError if all are missing."""
    named = [f"{path} ({reason})" for path, reason in list(failed.items())[:MAX_NAMED_FILES]]
    more = [f"{len(failed) - MAX_NAMED_FILES} more"] if len(failed) > MAX_NAMED_FILES else []
    reasons = f"changed or gone since the scan: {', '.join(named + more)}"
    if lost == all_:
        raise GliascopeError(f"all files are {reasons}; run `gliascope scan` again")
    note(f"store: {reasons}; {lost} of {all_} slices are missing from the store; run `gliascope scan` again")
