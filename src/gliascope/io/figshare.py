"""Reader of the figshare brain tumour dataset: MATLAB files with one struct `cjdata`.

The dataset has MATLAB v7.3 files (HDF5). Copies that other programs saved as v5 are read, too.

References
----------
Cheng, "brain tumor dataset", figshare, doi:10.6084/m9.figshare.1512427.
"""

import sys
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from gliascope.classes import canonical_class
from gliascope.errors import DamagedFileError, NotAnImageError, ReadError
from gliascope.io import limits, signatures
from gliascope.io.facts import pseudonym
from gliascope.io.matlab5 import Field, read_struct
from gliascope.io.scales import scale_by_percentiles
from gliascope.io.slices import Slice

_LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
_MAX_CELL_SIZE = 1000  # characters of a text in a cell
_FIELDS = ("image", "tumorMask", "label", "PID")


def read(path: Path, file: BinaryIO) -> list[Slice]:
    """Read `cjdata.image` as one slice, with its label, tumour mask and patient (a pseudonym of PID).

    The image is brought to 8 bits by the percentile range of its values. Label and PID may be text, numbers,
    or a cell array of one text or number.

    Parameters
    ----------
    path
        Name of the file in the slice and in errors.
    file
        The open file.

    Returns
    -------
    list of Slice
        The one slice.

    Raises
    ------
    ReadError
        If h5py is not installed (`gliascope[data]` installs it).
    NotAnImageError
        If there is no `cjdata.image`, or a field has a type that is not understood.
    DamagedFileError
        If `cjdata.image` is no grey image, or the mask has another shape.
    TooLargeError
        If the file exceeds a limit.
    Exception
        Whatever h5py raises on damaged content; `gliascope.io.read` turns it into DamagedFileError.
    """
    head = file.read(signatures.HEAD_BYTES)
    file.seek(0)
    fields = _v5(path, file) if signatures.is_matlab5(head) else _v73(path, file)
    values, mask = fields.get("image"), fields.get("tumorMask")
    if values is None:
        raise NotAnImageError(
            path,
            "file without cjdata.image",
            "of MATLAB and HDF5 files, only those of the figshare dataset can be read",
        )
    if isinstance(values, str) or values.ndim != 2 or values.dtype.kind not in "uif":
        kind = "text" if isinstance(values, str) else f"{values.dtype} {values.shape}"
        raise DamagedFileError(path, "cjdata.image is no grey image", kind)
    limits.check_slice(path, *values.shape)
    if mask is not None and not isinstance(mask, str) and mask.size == 0:
        mask = None  # an empty array is how MATLAB states that there is no mask
    if mask is not None and (isinstance(mask, str) or mask.shape != values.shape):
        raise DamagedFileError(path, "cjdata.tumorMask does not fit cjdata.image")
    patient = _text(path, fields, "PID")
    return [
        Slice(
            np.ascontiguousarray(scale_by_percentiles(path, [values])[0]),
            path,
            index=0,
            format="figshare-mat",
            patient=None if patient is None else pseudonym(patient),
            label=_label(path, fields),
            mask=None if mask is None else np.ascontiguousarray(mask != 0),
        )
    ]


def _label(path: Path, fields: dict[str, Field]) -> str | None:
    """Return the class that the label states as a number or by name; None where there is none."""
    text = _text(path, fields, "label")
    if not text:
        return None
    return _LABELS.get(int(text)) if text.isdigit() else canonical_class(text)


def _text(path: Path, fields: dict[str, Field], name: str) -> str | None:
    """Return a field as text, whether it is a text or a whole number; None where it is absent or empty."""
    value = fields.get(name)
    if value is None or (not isinstance(value, str) and value.size == 0):
        return None
    if isinstance(value, str):
        return value.strip()
    number = value.flat[0]
    if value.dtype.kind not in "uifb" or value.size > 1 or number != number // 1:
        _refuse(path, name, f"{value.dtype} {value.shape}")
    return str(int(number))


def _refuse(path: Path, name: str, kind: str) -> NoReturn:
    remedy = "save it as text or a whole number"
    raise NotAnImageError(path, f"cjdata.{name} is not understood", f"{kind}; {remedy}")


def _v5(path: Path, file: BinaryIO) -> dict[str, Field]:
    """Read the fields of `cjdata` from a MATLAB v5 file."""
    return read_struct(path, file.read(), "cjdata") or {}


def _v73(path: Path, file: BinaryIO) -> dict[str, Field]:
    """Read the fields of `cjdata` from HDF5. Arrays are transposed, since MATLAB stores columns first."""
    try:
        import h5py
    except ImportError:
        remedy = 'MATLAB v7.3 files need it: pip install "gliascope[data]"'
        raise ReadError(path, "h5py is not installed", remedy) from None

    with h5py.File(file, "r") as content:
        fields = {name: _array(path, content, name) for name in _FIELDS}
        return {
            name: _as_text(value) if name in ("PID", "label") else value.T
            for name, value in fields.items()
            if value is not None
        }


def _as_text(value: Any) -> Field:
    """Return a text, which MATLAB stores as an array of character codes, as str, and numbers unchanged."""
    if isinstance(value, bytes | str):
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    array = np.asarray(value)
    if array.dtype.kind in "OSU" and array.size == 1:
        return _as_text(array.item())
    codes = array.dtype.kind in "iu" and (array.size > 1 or array.dtype == np.uint16)
    if codes and array.size and array.min() >= 0 and ord(" ") <= array.max() <= sys.maxunicode:
        return "".join(map(chr, array.ravel().tolist()))
    return array


def _array(path: Path, content: Any, name: str) -> Any:
    """Return `cjdata.<name>` as an array, checked before it is read; None if it is absent or empty."""
    import h5py

    dataset = content.get(f"cjdata/{name}")
    if not isinstance(dataset, h5py.Dataset):
        return None
    # An HDF5 file can refer to any other file of this machine, which must not be read.
    if dataset.file != content or dataset.external or dataset.is_virtual:
        raise NotAnImageError(
            path, f"cjdata.{name} is stored in another file", "save the file again with all its data inside"
        )
    if dataset.size == 0 or dataset.attrs.get("MATLAB_empty"):  # MATLAB then stores the lengths as values
        return None
    if dataset.ndim == 2:
        limits.check_slice(path, *dataset.shape)
    limits.check_total(path, 1, dataset.nbytes)
    value = dataset[()]
    if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference and value.size == 1:  # a cell
        inside = content[value.flat[0]]
        if isinstance(inside, h5py.Dataset) and inside.dtype.kind != "O" and inside.size < _MAX_CELL_SIZE:
            return inside[()]
    return value
