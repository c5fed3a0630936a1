"""Limits on the size of one file. Every reader checks them before it decodes.

Each function raises an error of `gliascope.errors` that names the file and the size found.
"""

from pathlib import Path

from gliascope.errors import DamagedFileError, TooLargeError

MAX_MEGAPIXELS = 64
"""Most millions of pixels in one slice."""

MAX_BYTES = 512 * 2**20
"""Most bytes of one file on disk, and most bytes of its decoded values."""

MAX_SLICES = 16_384
"""Most slices in one file: a volume of 1 x 1 slices is small in bytes, but each slice is a Python object."""


def check_file(path: Path, size: int) -> None:
    """Raise DamagedFileError for an empty file, TooLargeError for one of over MAX_BYTES bytes."""
    if size == 0:
        raise DamagedFileError(path, "empty file")
    if size > MAX_BYTES:
        raise TooLargeError(path, f"over {_MIB}", f"{_mib(size)} on disk")


def check_slice(path: Path, height: int, width: int) -> None:
    """Raise DamagedFileError for a slice without pixels, TooLargeError for one of over MAX_MEGAPIXELS."""
    if height < 1 or width < 1:
        raise DamagedFileError(path, "impossible size", f"{width} x {height} pixels")
    if height * width > MAX_MEGAPIXELS * 1_000_000:
        raise TooLargeError(path, f"over {MAX_MEGAPIXELS} megapixels a slice", f"{width} x {height} pixels")


def check_total(path: Path, slices: int, size: int) -> None:
    """Check the number of slices in a file, and the size of its decoded values.

    Parameters
    ----------
    path
        The file, for the error.
    slices
        Number of slices that the file declares.
    size
        Bytes of all decoded values.

    Raises
    ------
    DamagedFileError
        If there is no slice.
    TooLargeError
        If there are more than MAX_SLICES slices or MAX_BYTES bytes.
    """
    if slices < 1:
        raise DamagedFileError(path, "impossible size", f"{slices} slices")
    if slices > MAX_SLICES:
        raise TooLargeError(path, f"over {MAX_SLICES} slices", f"{slices} slices")
    if size > MAX_BYTES:
        raise TooLargeError(path, f"over {_MIB}", f"{_mib(size)} decoded")


_MIB = f"{MAX_BYTES // 2**20} MiB"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
