"""Reader of one struct in a MATLAB v5 file (`save -v6` and `-v7`). Files of v7.3 are HDF5.

It reads structs of arrays only. SciPy's reader is not used because it follows nested cells to any depth, so
that a crafted file can end the process.

References
----------
MathWorks, "MAT-File Format", chapter 1.
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
# NumPy's names of the types in which values are stored (miINT8 …) and of the classes of arrays (mxDOUBLE …).
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
           16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}

Field = NDArray[Any] | str
"""Value of a field of a struct: numbers in the shape that MATLAB gives them, or a text."""


def read_struct(path: Path, content: bytes, name: str) -> dict[str, Field] | None:
    """Read the 1 x 1 struct of a given name.

    Parameters
    ----------
    path
        The file, for errors.
    content
        The whole file.
    name
        Name of the struct.

    Returns
    -------
    dict or None
        The value of each field; of a cell array, the value of its first cell. Fields of other kinds, such as
        complex numbers and structs, are left out. None if the file has no such struct.

    Raises
    ------
    DamagedFileError
        If the file ends too soon or a struct has no field names.
    TooLargeError
        If the values exceed `limits.MAX_BYTES`.
    """
    order = "<" if content[126:128] == b"IM" else ">"
    for kind, data in _elements(path, content[_HEADER:], order):
        matrix = data
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(data, limits.MAX_BYTES + 1)
            limits.check_total(path, 1, len(unpacked))
            _, matrix = next(_elements(path, unpacked, order), (0, b""))
        elements = [element for _, element in _elements(path, matrix, order)]
        if len(elements) > 4 and elements[2] == name.encode() and _class(elements[0], order) == _STRUCT:
            return _fields(path, elements, order)
    return None


def _fields(path: Path, elements: list[bytes], order: str) -> dict[str, Field]:
    """Return the fields of a struct; elements: flags, sizes, name, name length, names, then the values."""
    (length,) = struct.unpack(order + "i", elements[3])
    if length < 1:
        raise DamagedFileError(path, "MATLAB file truncated or damaged", "a struct without field names")
    starts = range(0, len(elements[4]), length)
    names = [elements[4][start : start + length].split(b"\0")[0].decode() for start in starts]
    values = {key: _value(path, matrix, order) for key, matrix in zip(names, elements[5:], strict=False)}
    return {key: value for key, value in values.items() if value is not None}


def _value(path: Path, matrix: bytes, order: str) -> Field | None:
    """Return the value of an array or of the first cell of a cell array; None for other kinds."""
    elements = list(_elements(path, matrix, order))
    if len(elements) > 3 and _class(elements[0][1], order) == _CELL:
        elements = list(_elements(path, elements[3][1], order))
    if len(elements) < 4:
        return None
    (_, flags), (_, sizes), _, (kind, data) = elements[:4]
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
    """Return the class of an array from its flags; 0, which is no class, for complex numbers."""
    (first,) = struct.unpack(order + "I", flags[:4])
    return 0 if first & _COMPLEX else int(first & 0xFF)


def _elements(path: Path, data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the type and content of each data element."""
    offset = 0
    while offset + 8 <= len(data):
        kind, size = struct.unpack(order + "II", data[offset : offset + 8])
        if kind >> 16:  # a small element, of four bytes at most
            kind, size, start, offset = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
        else:
            start = offset + 8
            offset = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise DamagedFileError(path, "MATLAB file truncated or damaged", "it ends within an array")
        yield kind, data[start : start + size]
