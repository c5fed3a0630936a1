"""How much one file may ask for. The only place that says so; every format checks here before it decodes."""

from pathlib import Path

from gliascope.errors import DamagedFileError, TooLargeError

MAX_MEGAPIXELS = 64
"""Millions of pixels in one slice."""

MAX_BYTES = 512 * 2**20
"""Bytes of one file, on disk and, apart from that, of its decoded values."""

MAX_SLICES = 16_384
"""Slices in one file: a volume of single pixels is small in bytes and still a flood of objects."""


def check_file(path: Path, size: int) -> None:
    """Refuse an empty file (DamagedFileError) and one over MAX_BYTES on disk (TooLargeError)."""
    if size == 0:
        raise DamagedFileError(path, "empty file")
    if size > MAX_BYTES:
        raise TooLargeError(path, f"over {_MIB}", f"{_mib(size)} on disk")


def check_slice(path: Path, height: int, width: int) -> None:
    """Refuse a slice without pixels (DamagedFileError) or over MAX_MEGAPIXELS (TooLargeError)."""
    if height < 1 or width < 1:
        raise DamagedFileError(path, "impossible size", f"{width} x {height} pixels")
    if height * width > MAX_MEGAPIXELS * 1_000_000:
        raise TooLargeError(path, f"over {MAX_MEGAPIXELS} megapixels a slice", f"{width} x {height} pixels")


def check_total(path: Path, slices: int, size: int) -> None:
    """Refuse no slices (DamagedFileError), and over MAX_SLICES or MAX_BYTES decoded (TooLargeError)."""
    if slices < 1:
        raise DamagedFileError(path, "impossible size", f"{slices} slices")
    if slices > MAX_SLICES:
        raise TooLargeError(path, f"over {MAX_SLICES} slices", f"{slices} slices")
    if size > MAX_BYTES:
        raise TooLargeError(path, f"over {_MIB}", f"{_mib(size)} decoded")


_MIB = f"{MAX_BYTES // 2**20} MiB"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
