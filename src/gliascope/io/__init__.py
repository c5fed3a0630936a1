"""`read`: one file of any known format to a list of slices."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from gliascope.errors import NotAnImageError, ReadError
from gliascope.io import limits, signatures
from gliascope.io.memory import InMemory, as_read_error, one_line
from gliascope.io.scales import SeriesScale
from gliascope.io.slices import Slice
from gliascope.runtime.paths import to_path

__all__ = ["FORMATS", "Format", "may_be_in_series", "read"]

Reader = Callable[..., list[Slice]]  # path, open file; and, where `shares`, the Scale of the series


@dataclass(frozen=True, slots=True)
class Format:
    """A family of formats: what its first bytes look like, and the module here whose `read` decodes it.

    shares: told by the first bytes, whether a file's grey scale may be that of a series of files.
    """

    name: str
    signature: Callable[[bytes], bool]
    module: str
    in_series: Callable[[bytes], bool] | None = None

    def reader(self) -> Reader:
        """Import the module, late: its library takes a while to load and most sources need one only."""
        reader: Reader = import_module(f"{__name__}.{self.module}").read
        return reader


# The first whose signature fits decodes the file. A new format is one line here and its module.
FORMATS = (
    Format("DICOM", signatures.is_dicom, "dicom", signatures.is_dicom),
    Format("image", signatures.is_raster, "raster", signatures.may_be_over_8_bits),
    Format("NIfTI", signatures.is_nifti, "nifti"),
    Format("HDF5", signatures.is_hdf5, "figshare"),
    Format("MATLAB", signatures.is_matlab5, "figshare"),
    Format("DICOM", signatures.is_bare_dicom, "dicom", signatures.is_bare_dicom),
)


def read(path: Path | str | InMemory, scale: SeriesScale | None = None) -> list[Slice]:
    """Read one file, or what is in memory instead of one, as its slices.

    Told by content: JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI (also gzipped), figshare's MATLAB.

    scale: of the series that the file is one of; `series.read_together` finds it for several files.

    Each slice's `pixels` are uint8, grey (height, width) or RGB (height, width, 3), and may be read-only.
    Its `notes` say what was read otherwise than the file says: a declared range that hides what it holds is
    passed over (`intensity.hides`), and placeholders for what was not measured count for nothing.
    Values deeper than 8 bits are brought to 8 by, in this order:

    1. the window or VOI LUT that the file states (the first, if several), where all of the series state the
       same: others were set slice by slice;
    2. for CT in Hounsfield units (DICOM modality CT, rescaled or signed; NIfTI whose lower percentile is
       below -500), the brain window, centre 40, width 80: air to bone would leave tissue five grey levels;
    3. the 0.5 to 99.5 percentile of the finite values of the volume or series, so that one hot voxel does not
       darken the rest and slices stay comparable. Voxels that are not finite count as the lowest value.

    "Of the series" means of this file where no `scale` is given; a single slice of a DICOM series then says
    so in its `notes`.

    What is no slice at all (a segmentation, a dose map, a mosaic) is refused by its kind; a localizer, a
    derived map and a secondary capture carry theirs in `kind`: what they are worth, the study tells.

    See `raster.read`, `dicom.read`, `nifti.read` and `figshare.read` for what each format adds, and `limits`
    for the limits.

    Raises ReadError: NotAnImageError if the content is none of these or holds no pixels, DamagedFileError if
    it is truncated or inconsistent, TooLargeError if it is over a limit (told from the header, without
    decoding), and ReadError itself if the file is missing or may not be read.
    """
    if isinstance(path, InMemory):
        return path.read(scale)
    path = to_path(path) if isinstance(path, str) else path
    with _open(path) as file:
        format_, _ = _format(path, file)
        reader = format_.reader()
        with as_read_error(path, f"{format_.name} truncated or damaged"):
            return reader(path, file, scale=scale) if scale and format_.in_series else reader(path, file)


def may_be_in_series(path: Path | InMemory) -> bool:
    """Whether the grey scale of a file may be that of a series, from its first bytes."""
    if isinstance(path, InMemory):
        return path.may_be_in_series
    try:
        with _open(path) as file:
            format_, head = _format(path, file)
            return format_.in_series is not None and format_.in_series(head)
    except ReadError:
        return False


def _open(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise NotAnImageError(path, "is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise NotAnImageError(path, "is no regular file")
        limits.check_file(path, status.st_size)
        return path.open("rb")
    except ReadError:
        raise
    except FileNotFoundError:
        raise ReadError(path, "not found") from None
    except PermissionError:
        raise ReadError(path, "no permission to read") from None
    except Exception as error:  # ValueError: a null byte in the name; of a URL, whatever its driver raises
        raise ReadError(path, "cannot be opened", one_line(error)) from None


def _format(path: Path, file: BinaryIO) -> tuple[Format, bytes]:
    """The format, and the bytes that tell it."""
    try:
        head = file.read(signatures.HEAD)
        file.seek(0)
    except Exception as error:
        raise ReadError(path, "cannot be read", one_line(error)) from None
    for format_ in FORMATS:
        if format_.signature(head):
            return format_, head
    raise NotAnImageError(
        path, "format not recognised", "known: JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI, figshare .mat"
    )
