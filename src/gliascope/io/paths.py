"""`gliascope.read`: the slices of a file or folder."""

import os
import warnings

from gliascope.errors import InputError, ReadError
from gliascope.io.memory import InMemory, to_source
from gliascope.io.series import read_series
from gliascope.io.slices import Slice
from gliascope.runtime.folders import list_files


def read(path: str | os.PathLike[str]) -> list[Slice]:
    """Read the slices of a file, or of all files below a folder.

    Parameters
    ----------
    path : path
        JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI or figshare's .mat, told by content; or a folder, whose files
        are read in the order of their names, those of one series on one grey scale.

    Returns
    -------
    list of Slice
        `pixels` of each are uint8, (height, width), or (height, width, 3) in RGB.

    Raises
    ------
    ReadError
        Where the file cannot be read or, of a folder, none can. Otherwise a warning says how many could not.

    Examples
    --------
    >>> import gliascope
    >>> [one.pixels.shape for one in gliascope.read("study")]
    [(48, 48), (48, 48), (48, 48), (48, 48)]
    """
    where = to_source(path)
    if isinstance(where, InMemory):
        raise InputError(f"{where}: read takes the path of a file or folder")
    files, unreadable = list(list_files([where])), list[ReadError]()
    slices = [one for found in read_series(files, unreadable.append) for one in found]
    if unreadable and not slices:
        raise unreadable[0]
    if unreadable:
        told = f"{len(unreadable)} of {len(files)} files could not be read; the first: {unreadable[0]}"
        warnings.warn(told, stacklevel=2)
    return slices
