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
        A file in JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI or figshare's MATLAB format, recognised by its
        content; or a folder. The files of a folder are read in the order of their names, and those of one
        series on one grey scale.

    Returns
    -------
    list of Slice
        `Slice.pixels` are uint8, (height, width) in grey or (height, width, 3) in RGB.

    Raises
    ------
    ReadError
        If the file cannot be read, or no file of the folder can. Where only some cannot, a warning says how
        many.
    InputError
        If `path` is no path.

    Examples
    --------
    >>> import gliascope
    >>> [one.pixels.shape for one in gliascope.read("study")]
    [(48, 48), (48, 48), (48, 48), (48, 48)]
    """
    source = to_source(path)
    if isinstance(source, InMemory):
        raise InputError(f"{source}: expected the path of a file or folder but got what is in memory already")
    files, unreadable = list(list_files([source])), list[ReadError]()
    slices = [one for of_file in read_series(files, unreadable.append) for one in of_file]
    if unreadable and not slices:
        raise unreadable[0]
    if unreadable:
        message = f"{len(unreadable)} of {len(files)} files could not be read; the first: {unreadable[0]}"
        warnings.warn(message, stacklevel=2)
    return slices
