"""Read medical images: `read` turns a file of any known format into a list of slices."""

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

Reader = Callable[..., list[Slice]]
"""Takes the path and the open file; for formats with `in_series`, also the `scale` of the series."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        Name of the format in messages.
    signature
        Whether a file is of this format, by its first `signatures.HEAD_BYTES` bytes.
    module
        Module of this package whose `read` decodes such a file.
    in_series
        Whether the file may share its grey scale with other files of a series, by its first bytes. None if no
        file of this format does.
    """

    name: str
    signature: Callable[[bytes], bool]
    module: str
    in_series: Callable[[bytes], bool] | None = None

    def reader(self) -> Reader:
        """Return `read` of the module, imported on first use, since its library may be slow to load."""
        reader: Reader = import_module(f"{__name__}.{self.module}").read
        return reader


# The first format whose signature matches reads the file. A new format needs one line here and its module.
FORMATS = (
    Format("DICOM", signatures.is_dicom, "dicom", signatures.is_dicom),
    Format("image", signatures.is_raster, "raster", signatures.may_be_over_8_bits),
    Format("NIfTI", signatures.is_nifti, "nifti"),
    Format("HDF5", signatures.is_hdf5, "figshare"),
    Format("MATLAB", signatures.is_matlab5, "figshare"),
    Format("DICOM", signatures.is_bare_dicom, "dicom", signatures.is_bare_dicom),
)


def read(path: Path | str | InMemory, scale: SeriesScale | None = None) -> list[Slice]:
    """Read one file, or one image in memory, as a list of slices.

    The format is recognised by content: JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI (also gzipped) and the
    MATLAB files of the figshare dataset. `raster.read`, `dicom.read`, `nifti.read` and `figshare.read`
    describe what is particular to each.

    Values of more than 8 bits are brought to 8 bits by the first of these that applies:

    1. the window or VOI LUT that the file states (the first, if several), if all files of the series state
    the
       same one. Windows that differ were set slice by slice, and would make slices incomparable;
    2. the brain window, centre 40 and width 80, for CT in Hounsfield units: DICOM of modality CT that is
       rescaled or signed, and NIfTI whose lower percentile is below -500. A window from air to bone would
       leave five grey levels to tissue;
    3. the 0.5 to 99.5 percentile of the finite values of the volume or series, so that one hot voxel does not
       darken all others, and slices stay comparable. Values that are not finite become the lowest value.

    A window or range that hides what the image holds is ignored (`intensity.hides_content`). Placeholders for
    values that were not measured are left out.

    Parameters
    ----------
    path
        A file, or an image in memory made by `gliascope.io.memory`.
    scale
        Grey scale of the series that the file belongs to, which `gliascope.io.series.read_series` finds for
        several files. Without it, the file alone is taken for the series.

    Returns
    -------
    list of Slice
        `pixels` are uint8, grey (height, width) or RGB (height, width, 3), and may be read-only. `notes`
        state what was read differently from what the file states. `kind` names localizers, derived maps and
        secondary captures; other objects that are no slices, such as segmentations and dose maps, are
        refused.

    Raises
    ------
    NotAnImageError
        If the content is of no known format, holds no pixels, or is no slice.
    DamagedFileError
        If the content is truncated or inconsistent.
    TooLargeError
        If the file exceeds a limit of `gliascope.io.limits`; this is checked before decoding.
    ReadError
        If the file is missing or cannot be opened.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (256, 192)).save(Path(folder) / "slice.png")
    ...     (slice_,) = read(Path(folder) / "slice.png")
    >>> slice_.pixels.shape, slice_.format
    ((192, 256), 'png')
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
    """Whether a file may share its grey scale with other files of a series, by its first bytes."""
    if isinstance(path, InMemory):
        return path.may_be_in_series
    try:
        with _open(path) as file:
            format_, head = _format(path, file)
            return format_.in_series is not None and format_.in_series(head)
    except ReadError:
        return False


def _open(path: Path) -> BinaryIO:
    """Open a file after checking that it is a regular file within the size limit."""
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
    except Exception as error:  # ValueError for a null byte in the name; any error of the driver of a URL
        raise ReadError(path, "cannot be opened", one_line(error)) from None


def _format(path: Path, file: BinaryIO) -> tuple[Format, bytes]:
    """Return the format of an open file, and its first bytes."""
    try:
        head = file.read(signatures.HEAD_BYTES)
        file.seek(0)
    except Exception as error:
        raise ReadError(path, "cannot be read", one_line(error)) from None
    for format_ in FORMATS:
        if format_.signature(head):
            return format_, head
    raise NotAnImageError(
        path, "format not recognised", "known: JPEG, PNG, BMP, TIFF, WebP, DICOM, NIfTI, figshare .mat"
    )
