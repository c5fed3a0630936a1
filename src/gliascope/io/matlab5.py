"""One struct of a MATLAB v5 file (`save -v6` and `-v7`), for figshare's reader; v7.3 files are HDF5.

Only what a struct of arrays needs. SciPy's reader follows cells in cells as deep as they go, which a file may
be made to end the process with.
Format: MathWorks, "MAT-File Format", chapter 1.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import DamagedFileError
from gliascope.io import limits

_HEADER = 128
_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_CELL, _STRUCT, _CHARS, _COMPLEX = 1, 2, 4, 0x0800
# By the numbers of stored types (miINT8 …) and of classes (mxDOUBLE …).
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
           16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}

Field = NDArray[Any] | str


def read_struct(path: Path, content: bytes, name: str) -> dict[str, Field] | None:
    """Fields of the 1 x 1 struct of that name; None where there is none.

    Texts are `str`, numbers arrays of MATLAB's shape; of a cell, its first. Fields of other classes are left
    out. Raises DamagedFileError where the file ends too soon, TooLargeError.
    """
    order = "<" if content[126:128] == b"IM" else ">"
    for kind, data in _elements(path, content[_HEADER:], order):
        matrix = data
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(data, limits.MAX_BYTES + 1)
            limits.check_total(path, 1, len(unpacked))
            _, matrix = next(_elements(path, unpacked, order), (0, b""))
        parts = [part for _, part in _elements(path, matrix, order)]
        if len(parts) > 4 and parts[2] == name.encode() and _class(parts[0], order) == _STRUCT:
            return _fields(path, parts, order)
    return None


def _fields(path: Path, parts: list[bytes], order: str) -> dict[str, Field]:
    (length,) = struct.unpack(order + "i", parts[3])
    if length < 1:
        raise DamagedFileError(path, "MATLAB file truncated or damaged", "a struct without names")
    names = [parts[4][at : at + length].split(b"\0")[0].decode() for at in range(0, len(parts[4]), length)]
    found = {key: _value(path, part, order) for key, part in zip(names, parts[5:], strict=False)}
    return {key: value for key, value in found.items() if value is not None}


def _value(path: Path, matrix: bytes, order: str) -> Field | None:
    parts = list(_elements(path, matrix, order))
    if len(parts) > 3 and _class(parts[0][1], order) == _CELL:
        parts = list(_elements(path, parts[3][1], order))
    if len(parts) < 4:
        return None
    (_, flags), (_, sizes), _, (kind, data) = parts[:4]
    class_ = _class(flags, order)
    shape = np.frombuffer(sizes, f"{order}i4")
    if kind == _UTF8 and class_ == _CHARS:
        return data.decode()
    if kind not in _STORED or not (class_ == _CHARS or class_ in _CLASSES):
        return None
    stored = np.frombuffer(data, order + _STORED[kind])
    if class_ == _CHARS:
        return "".join(map(chr, stored.tolist()))
    dtype = np.dtype(_CLASSES[class_])
    limits.check_total(path, 1, stored.size * dtype.itemsize)
    return stored.astype(dtype).reshape(shape, order="F")


def _class(flags: bytes, order: str) -> int:
    """Of an array's flags; 0, which is none, for complex numbers."""
    (first,) = struct.unpack(order + "I", flags[:4])
    return 0 if first & _COMPLEX else int(first & 0xFF)


def _elements(path: Path, data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each data element."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack(order + "II", data[at : at + 8])
        if kind >> 16:  # a small one, of four bytes at most
            kind, size, start, at = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            at = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise DamagedFileError(path, "MATLAB file truncated or damaged", "it ends within an array")
        yield kind, data[start : start + size]
