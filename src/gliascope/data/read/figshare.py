"""The files of the figshare brain tumour dataset: MATLAB v7.3 (HDF5) with one struct `cjdata`.

Cheng, "brain tumor dataset", figshare, doi:10.6084/m9.figshare.1512427.
"""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gliascope.data.read import limits
from gliascope.data.read.facts import pseudonym
from gliascope.data.read.scales import to_slices
from gliascope.data.slices import Slice
from gliascope.errors import DamagedFileError, NotAnImageError, ReadError

_LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}


def read(path: Path, file: BinaryIO) -> list[Slice]:
    """Read `cjdata.image` with its label, patient (a pseudonym of PID) and tumour mask, as one slice.

    Grey is scaled by `intensity.spread`. MATLAB stores columns first, so arrays are transposed.

    Raises ReadError if h5py is missing (it comes with `gliascope[data]`), NotAnImageError if there is no
    `cjdata.image`, TooLargeError; what h5py raises on damaged content is left to the caller.
    """
    try:
        import h5py
    except ImportError:
        remedy = 'MATLAB v7.3 files need it: pip install "gliascope[data]"'
        raise ReadError(path, "h5py is not installed", remedy) from None

    with h5py.File(file, "r") as content:
        values = _array(path, content, "image")
        if values is None:
            raise NotAnImageError(path, "HDF5 file without cjdata.image", "only figshare's files are known")
        if values.ndim != 2 or values.dtype.kind not in "uif":
            raise DamagedFileError(path, "cjdata.image is no grey image", f"{values.dtype} {values.shape}")
        mask = _array(path, content, "tumorMask")
        label = _array(path, content, "label")
        patient = _array(path, content, "PID")
    if mask is not None and mask.shape != values.shape:
        raise DamagedFileError(path, "cjdata.tumorMask does not fit cjdata.image")
    return [
        Slice(
            np.ascontiguousarray(to_slices(path, [values])[0].T),
            path,
            index=0,
            format="figshare-mat",
            patient=None if patient is None else pseudonym("".join(chr(int(code)) for code in patient.flat)),
            label=None if label is None else _LABELS.get(int(label.flat[0])),
            mask=None if mask is None else np.ascontiguousarray(mask.T != 0),
        )
    ]


def _array(path: Path, content: Any, name: str) -> Any:
    """`cjdata.<name>` as an array, checked before it is read; None if there is none."""
    import h5py

    dataset = content.get(f"cjdata/{name}")
    if not isinstance(dataset, h5py.Dataset):
        return None
    # HDF5 can point at any other file of this machine; an image has no need to.
    if dataset.file != content or dataset.external or dataset.is_virtual:
        raise NotAnImageError(path, f"cjdata.{name} is kept in another file")
    if dataset.ndim == 2:
        limits.check_slice(path, *dataset.shape)
    limits.check_total(path, 1, dataset.nbytes)
    return dataset[()]
