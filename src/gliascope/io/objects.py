"""Turn objects of Pillow, pydicom and nibabel into slices, each by the reader of that file format."""

import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from gliascope.errors import DamagedFileError, InputError, ReadError
from gliascope.io import limits
from gliascope.io.intensity import Values
from gliascope.io.scales import SeriesScale
from gliascope.io.slices import Slice

_ORIENTATION = 0x0112  # EXIF 2.3, 4.6.4


def from_pillow(path: Path, image: Any) -> Slice:
    """Make the slice of a Pillow image, as `raster.read` makes it of a file.

    Raises
    ------
    InputError
        For a TIFF of several pages, and for 16-bit colour.
    ReadError
        As `raster.read` does.
    """
    from gliascope.io.raster import scale_pages

    values, notes = pillow_values(path, image)
    (pixels,), _ = scale_pages(path, [values])
    return Slice(pixels, path, 0, (image.format or "image").lower(), mode=image.mode, notes=notes)


def pillow_values(path: Path, image: Any) -> tuple[Values, tuple[str, ...]]:
    """Decode a Pillow image as `raster.read` decodes a file of it.

    Returns
    -------
    values : ndarray
        (height, width) or (height, width, 3), not yet brought to 8 bits.
    notes : tuple of str
        What was changed.

    Raises
    ------
    InputError
        For a TIFF of several pages, and for 16-bit colour, of which Pillow keeps 8 bits.
    """
    from PIL import ImageOps

    from gliascope.io import deep_colour, raster

    limits.check_slice(path, image.height, image.width)
    if image.format == "TIFF" and _page_count(image) > 1:
        raise InputError(f"{path}: a TIFF of several pages; give predict_study the path of the file")
    if deep_colour.is_16_bit(image):
        raise InputError(f"{path}: Pillow keeps 8 of its 16 bits a channel; give the path of the file")
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)
    notes = () if orientation == 1 else (f"turned as the image's EXIF orientation, {orientation}, says",)
    inverted = raster.white_is_zero(image)
    return raster.image_values(ImageOps.exif_transpose(image), inverted), notes


def _page_count(image: Any) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # its file is closed, so that one page is loaded
        return 1


def from_pydicom(path: Path, dataset: Any, scale: SeriesScale | None) -> list[Slice]:
    """Read the slices of a pydicom Dataset, as those of the file that pydicom would write of it.

    Where another process has to decode the pixels, this file is written to a temporary folder that only this
    user may read.

    Raises
    ------
    InputError
        If the Dataset does not say how it is encoded.
    ReadError
        As `dicom.read` does.
    """
    from gliascope.io import dicom
    from gliascope.io.dicom_values import needs_file

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if not syntax and dataset.original_encoding[0] is None:
        raise InputError(
            f"{path}: the Dataset does not say how its pixels are encoded; set file_meta.TransferSyntaxUID, "
            "such as pydicom.uid.ExplicitVRLittleEndian"
        )
    content = BytesIO()
    try:
        dataset.save_as(content)
    except Exception as error:
        # The type only: what pydicom says may quote the patient's data.
        raise DamagedFileError(path, "DICOM data set cannot be encoded", type(error).__name__) from None
    if not (syntax and needs_file(dataset)):
        content.seek(0)
        return dicom.read(path, content, scale)
    with tempfile.TemporaryDirectory(prefix="gliascope-") as folder:
        file = Path(folder) / "dataset"
        file.write_bytes(content.getvalue())
        try:
            with file.open("rb") as stream:
                return [replace(one, path=path) for one in dicom.read(file, stream, scale)]
        except ReadError as error:
            raise type(error)(path, error.reason, error.detail) from None


def from_nibabel(path: Path, image: Any) -> list[Slice]:
    """Read the slices of a NIfTI image of nibabel, as `nifti.read` reads those of a file.

    Raises
    ------
    InputError
        For other formats, and for types of values that NIfTI does not have.
    ReadError
        As `nifti.read` does.
    """
    import nibabel

    from gliascope.io import nifti

    if not isinstance(image, nibabel.Nifti1Pair):  # also of NIfTI-2
        kind = type(image).__name__
        remedy = "give nibabel.Nifti1Image.from_image(x)"
        raise InputError(f"{path}: expected a NIfTI image but got {kind}; {remedy}")
    values: Any = image.dataobj
    is_stored = hasattr(values, "get_unscaled")  # in a file, with slope and intercept beside it
    dtype = values.dtype if is_stored else np.asanyarray(values).dtype
    # Its own copy of the header, which nibabel makes agree with the affine.
    header: Any = type(image)(values, image.affine, image.header).header
    try:
        header.set_data_dtype(dtype)
    except nibabel.spatialimages.HeaderDataError:
        raise InputError(f"{path}: NIfTI has no values of {dtype}; convert them, e.g. to float32") from None
    scaled = is_stored and (values.slope, values.inter) != (1, 0)
    header["scl_slope"] = values.slope if scaled else np.nan
    header["scl_inter"] = values.inter if scaled else np.nan
    read_values = values.get_unscaled if is_stored else lambda: np.asanyarray(values)
    return nifti.volume_slices(path, header, read_values)
