"""An array on disk that is filled row by row, and knows which rows it holds."""

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True)
class ResumableArray:
    """A .npy file of `rows` rows and, beside it, a byte a row that says whether it is there.

    All that is done to it may be done twice, and by several processes at once, as long as a row has the same
    values each time. A row is said to be there once the disk has it, so neither a kill nor a power cut leaves
    one that is not. No temporary file is needed, and none left.
    """

    path: Path
    rows: int

    def written_rows(self) -> NDArray[np.bool_]:
        """Which rows are there."""
        try:
            marks = self._marks.read_bytes() if self.path.exists() else b""
        except FileNotFoundError:
            marks = b""
        return np.frombuffer(bytearray(marks.ljust(self.rows, b"\0")), dtype=np.bool_)

    def create(self, dtype: DTypeLike, shape: tuple[int, ...], reserve: bool = False) -> int:
        """Make the files for rows of this shape, unless they are there; byte that the first row starts at.

        reserve: take the space of all rows at once, rather than as they come. Raises OSError where the disk
        cannot hold it.
        """
        header, whole = BytesIO(), (self.rows, *shape)
        described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(header, described | {"shape": whole})
        head = header.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() and self._marks.exists():  # what they say was said of another file
            os.truncate(self._marks, 0)
        _grow(self.path, head, len(head) + math.prod(whole) * np.dtype(dtype).itemsize, reserve)
        _grow(self._marks, b"", self.rows)
        return len(head)

    def write(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Make values[i] row rows[i]. Raises OSError where the disk is full.

        Not through a mapping: in a sparse file on a full disk that kills the process.
        """
        offset = self.create(values.dtype, values.shape[1:])
        with self.path.open("r+b") as stream:  # buffered: a full disk may take a part, and say nothing
            for row, value in zip(rows.tolist(), values, strict=True):
                stream.seek(offset + row * value.nbytes)
                stream.write(np.ascontiguousarray(value).data)
            stream.flush()
            os.fsync(stream.fileno())
        with self._marks.open("r+b", buffering=0) as stream:
            for row in rows.tolist():
                stream.seek(row)
                stream.write(b"\1")

    def open(self) -> NDArray[Any]:
        """All rows, memory-mapped; those that are not there are of any content."""
        array: NDArray[Any] = np.load(self.path, mmap_mode="r")
        return array

    @property
    def _marks(self) -> Path:
        return self.path.with_suffix(".done")


def _grow(path: Path, head: bytes, size: int, reserve: bool = False) -> None:
    """Make a file that starts with `head` and has `size` bytes; what is there stays."""
    with path.open("ab", buffering=0) as made:
        if os.fstat(made.fileno()).st_size >= size:
            return
    with path.open("r+b", buffering=0) as stream:
        try:
            if reserve and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            stream.write(head)
            stream.truncate(size)
        except OSError as error:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # it holds something
                path.parent.rmdir()
            raise OSError(error.errno, error.strerror, str(path)) from None  # it does not say which file
