"""The Store: preprocessed slices as one memory-mapped array, built once, found again by content."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import polars as pl
from numpy.typing import NDArray
from platformdirs import user_cache_path

from gliascope import __version__
from gliascope.data.parallel import parallel_map
from gliascope.data.preprocess import Preprocessing, preprocess
from gliascope.data.read import read
from gliascope.data.scan import pixel_hash
from gliascope.errors import GliascopeError
from gliascope.files import atomic_folder, mapped_array


@dataclass(frozen=True, slots=True)
class Store:
    """pixels: uint8 (slices, size, size[, 3]), memory-mapped; hashes: their pixel hashes, sorted.

    Identical slices are stored once.
    """

    folder: Path
    preprocessing: Preprocessing
    pixels: NDArray[np.uint8]
    hashes: NDArray[np.str_]

    @property
    def key(self) -> str:
        """Name of this content under this preprocessing."""
        return self.folder.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process of ours maps the file again, rather than being sent the pixels."""
        return Store.open, (self.folder, self.preprocessing, self.hashes)

    @classmethod
    def open(cls, folder: Path, preprocessing: Preprocessing, hashes: NDArray[np.str_]) -> "Store":
        """Map the pixels that are in `folder`."""
        return cls(folder, preprocessing, np.load(folder / "pixels.npy", mmap_mode="r"), hashes)

    def rows(self, pixel_hashes: pl.Series) -> NDArray[np.int64]:
        """Rows of `pixels` that hold the given slices, in order. Raises GliascopeError for strangers."""
        wanted = pixel_hashes.to_numpy().astype(self.hashes.dtype)
        rows = np.searchsorted(self.hashes, wanted).clip(max=len(self.hashes) - 1)
        if (self.hashes[rows] != wanted).any():
            raise GliascopeError(f"{self.folder}: this store is of another catalogue; run `gliascope store`")
        return rows.astype(np.int64)


def cache_folder() -> Path:
    """Where stores and cached activations live: GLIASCOPE_CACHE, else the user's cache folder."""
    return Path(os.environ.get("GLIASCOPE_CACHE") or user_cache_path("gliascope"))


def cache_usage() -> dict[Path, tuple[int, int]]:
    """Number of files and bytes of each part of the cache."""
    parts = [cache_folder() / name for name in ("store", "activations", "features")]
    files = {part: [path for path in part.rglob("*") if path.is_file()] for part in parts}
    return {part: (len(found), sum(map(_disk_bytes, found))) for part, found in files.items()}


def _disk_bytes(path: Path) -> int:
    """Bytes a file takes; a sparse one takes less than its size."""
    stat = path.stat()
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)


def clear_cache() -> None:
    """Remove all stores, activations and features; what is needed again is made again."""
    for part in cache_usage():
        shutil.rmtree(part, ignore_errors=True)


def store(frame: pl.DataFrame, preprocessing: Preprocessing) -> Store:
    """Find or build the Store of a catalogue frame (columns root, path, index, pixel_hash).

    Raises GliascopeError, naming the file, where a file is gone or changed since the scan.
    """
    unique = frame.unique("pixel_hash", keep="first", maintain_order=True)
    hashes = np.sort(unique["pixel_hash"].to_numpy().astype("U32"))
    # Another version of ours or of Pillow may resize differently.
    content = hashlib.blake2b(f"{__version__} {PIL.__version__}".encode(), digest_size=10)
    # What the exported graph does changes no stored pixel.
    content.update(preprocessing.model_dump_json(exclude={"centre", "mean", "std"}).encode())
    content.update(hashes.tobytes())
    folder = cache_folder() / "store" / content.hexdigest()
    if not folder.exists():
        with atomic_folder(folder) as temporary:
            _build(unique, hashes, preprocessing, temporary)
    return Store.open(folder, preprocessing, hashes)


def _build(
    unique: pl.DataFrame, hashes: NDArray[np.str_], preprocessing: Preprocessing, folder: Path
) -> None:
    pixels = mapped_array(folder / "pixels.npy", np.uint8, (len(hashes), *preprocessing.shape))
    files = unique.group_by("root", "path", maintain_order=True).agg("index", "pixel_hash").rows()

    def fill(file: tuple[str, str, list[int], list[str]]) -> None:
        root, path, indices, expected = file
        slices = {item.index: item for item in read(Path(root) / path)}
        for index, wanted in zip(indices, expected, strict=True):
            if index not in slices or pixel_hash(slices[index].pixels) != wanted:
                raise GliascopeError(f"{root}/{path}: changed since the scan; run `gliascope scan` again")
            pixels[np.searchsorted(hashes, wanted)] = preprocess(slices[index].pixels, preprocessing)

    for _ in parallel_map(fill, files, "store"):
        pass
    pixels.flush()  # type: ignore[attr-defined]
