"""An array on disk that is filled row by row and records which rows are written."""

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
    """A .npy file and a `.done` file with one byte per row: 1 if the row is written, else 0.

    Several processes may write at once, and a row may be written more than once, as long as its values are
    the same each time. A row is marked only after its values are on disk, so that neither a kill nor a power
    cut leaves a marked row without values. No temporary files are used.

    Parameters
    ----------
    path
        The .npy file.
    rows
        Length of the first axis.
    """

    path: Path
    rows: int

    def written_rows(self) -> NDArray[np.bool_]:
        """Return which rows are written, as bool (rows,)."""
        try:
            marks = self._marks.read_bytes() if self.path.exists() else b""
        except FileNotFoundError:
            marks = b""
        return np.frombuffer(bytearray(marks.ljust(self.rows, b"\0")), dtype=np.bool_)

    def create(self, dtype: DTypeLike, shape: tuple[int, ...], reserve: bool = False) -> int:
        """Create both files unless they exist.

        Parameters
        ----------
        dtype, shape
            Of one row.
        reserve
            Reserve the disk space of all rows now. Otherwise the file is sparse and grows with its rows.

        Returns
        -------
        int
            Offset of the first row in the file, in bytes.

        Raises
        ------
        OSError
            If the disk is full.
        """
        header, whole = BytesIO(), (self.rows, *shape)
        described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(header, described | {"shape": whole})
        head = header.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() and self._marks.exists():  # the marks belong to a file that was removed
            os.truncate(self._marks, 0)
        _grow(self.path, head, len(head) + math.prod(whole) * np.dtype(dtype).itemsize, reserve)
        _grow(self._marks, b"", self.rows)
        return len(head)

    def write(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Write `values` (n, …) to the rows `rows` (n,). Raises OSError if the disk is full.

        Written without a memory map: on a full disk, writing to a map of a sparse file kills the process.
        """
        offset = self.create(values.dtype, values.shape[1:])
        with self.path.open(
            "r+b"
        ) as stream:  # buffered, because a raw write to a full disk may silently write less
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
        """Return all rows, memory-mapped. Rows that are not written have undefined values."""
        array: NDArray[Any] = np.load(self.path, mmap_mode="r")
        return array

    @property
    def _marks(self) -> Path:
        return self.path.with_suffix(".done")


def _grow(path: Path, head: bytes, size: int, reserve: bool = False) -> None:
    """Extend a file to `size` bytes, starting with `head`; a file that is large enough stays as it is."""
    with path.open("ab", buffering=0) as file:
        if os.fstat(file.fileno()).st_size >= size:
            return
    with path.open("r+b", buffering=0) as stream:
        try:
            if reserve and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            stream.write(head)
            stream.truncate(size)
        except OSError as error:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty
                path.parent.rmdir()
            raise OSError(
                error.errno, error.strerror, str(path)
            ) from None  # the original error names no file
