"""Slices as small pictures for a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from gliascope.dataset.catalog import FILE_COLUMNS, read_catalogued
from gliascope.dataset.scan import THUMBNAIL_SIZE
from gliascope.errors import ReadError

SIDE = 160
CACHED_FILES = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """A slice for a gallery: a JPEG file, and facts of the catalogue. `subset` is the source's own."""

    image: bytes
    name: str
    label: str
    source: str
    subset: str | None


class Album:
    """Pictures of the slices of a catalogue frame, by row number."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._picture = lru_cache(maxsize=None)(self._make)
        self._read = lru_cache(maxsize=CACHED_FILES)(
            read_catalogued
        )  # slices of one volume often come one after another

    def __getitem__(self, row: int) -> Picture:
        return self._picture(row)

    def _make(self, row: int) -> Picture:
        facts = self._frame.row(row, named=True)
        try:
            pixels = self._read(*(facts[name] for name in FILE_COLUMNS))[facts["index"]].pixels
        except (ReadError, IndexError):  # gone or changed since the scan
            pixels = thumbnail(facts)
        return Picture(
            encode_jpeg(pixels), slice_name(facts), facts["label"], facts["source"], facts["official"]
        )


def slice_name(facts: Mapping[str, Any]) -> str:
    """Return the path of a slice, with its index in the file where that is not 0."""
    return f"{facts['path']} [{facts['index']}]" if facts["index"] else str(facts["path"])


def thumbnail(facts: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Scale the thumbnail of a catalogue row to its slice's aspect ratio: uint8, sides of `SIDE` at most."""
    small = Image.frombytes("L", (THUMBNAIL_SIZE, THUMBNAIL_SIZE), facts["thumbnail"])
    scale = SIDE / max(facts["width"], facts["height"])
    size = (max(1, round(facts["width"] * scale)), max(1, round(facts["height"] * scale)))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))


def encode_jpeg(pixels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """Encode uint8 (height, width[, 3]) pixels as a JPEG file with sides of at most `side` pixels."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, "jpeg", quality=80)
    return file.getvalue()
