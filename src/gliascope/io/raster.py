"""Reader of JPEG, PNG, BMP, TIFF and WebP files, by Pillow."""

import statistics
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageMode, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from gliascope.errors import DamagedFileError, NotAnImageError, TooLargeError
from gliascope.io import deep_colour, intensity, limits
from gliascope.io.facts import digest
from gliascope.io.histogram import Histogram
from gliascope.io.intensity import Pixels, Values
from gliascope.io.intensity_range import PERCENTILES
from gliascope.io.raster_support import name_unsupported, unsupported_coding
from gliascope.io.scales import IntensityFacts, SeriesScale, scale_by_percentiles
from gliascope.io.slices import Slice

# Tried in this order. Naming TIFF's and WebP's plugins keeps Pillow from importing all of its plugins.
_FORMATS = ("JPEG", "PNG", "BMP", TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_UNSUPPORTED = "TIFF of a kind that is not supported"
_REMEDY = "save it as grey of 16 bits or of 32-bit floats"
_WHITE_IS_ZERO = 0  # TIFF 6.0, tag 262 (PhotometricInterpretation)

# Process-wide, because `warnings.catch_warnings` is not safe in threads. Pillow warns of large images, which
# raise TooLargeError below, and of unusual metadata, which do not change the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")


@name_unsupported
def read(path: Path, file: BinaryIO, scale: SeriesScale | None = None) -> list[Slice]:
    """Read one image file: each page of a TIFF as a slice, the first frame of an animation.

    Images of 8 bits keep their values. Transparent parts are laid on black, palettes and CMYK become RGB, RGB
    with three equal channels becomes grey, and the EXIF orientation is applied. Deeper grey and colour are
    brought to 8 bits on one scale for all pages (`scale_pages`).

    Parameters
    ----------
    path
        Name of the file in slices and errors.
    file
        The open file.
    scale
        Grey scale of the series that the file belongs to. It is used for files of a single page of grey of
        more than 8 bits.

    Returns
    -------
    list of Slice
        One slice a page, in order.

    Raises
    ------
    TooLargeError
        If the image exceeds a limit; this is checked before decoding.
    NotAnImageError
        If Pillow cannot decode this kind of image: 64-bit floats, colour in floats, JPEG of 12 bits or
        lossless, rare compressions.
    DamagedFileError
        If the header cannot be read.
    Exception
        Whatever Pillow raises on damaged content; `gliascope.io.read` turns it into DamagedFileError.
    """
    content = file.read()
    try:
        image = Image.open(BytesIO(content), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = str(error).partition(" exceeds")[0]
        raise TooLargeError(path, f"over {limits.MAX_MEGAPIXELS} megapixels a slice", size) from None
    except UnidentifiedImageError:
        if (kind := deep_colour.describe_tiff(content)) and not unsupported_coding(content):
            raise NotAnImageError(path, _UNSUPPORTED, f"{kind}; {_REMEDY}") from None
        raise DamagedFileError(path, "image truncated or damaged", "unreadable header") from None
    # A JPEG with embedded previews opens as MPO; its first picture is the image itself.
    name = "jpeg" if image.format == "MPO" else str(image.format).lower()
    quantisation = _quantisation(image)
    modes, pages = [], list[Values]()
    for index, page in enumerate(_pages(path, image)):
        if kind := deep_colour.unsupported_16_bit(page):
            raise NotAnImageError(path, _UNSUPPORTED, f"{kind}; {_REMEDY}")
        modes.append(page.mode)  # decoding may change it
        pages.append(_values(page, content, index))
    scaled, grey = scale_pages(path, pages, scale)
    return [
        Slice(page, path, index, name, mode=mode, quantisation=quantisation, intensity=grey)
        for index, (page, mode) in enumerate(zip(scaled, modes, strict=True))
    ]


def scale_pages(
    path: Path, pages: list[Values], scale: SeriesScale | None = None
) -> tuple[list[Pixels], IntensityFacts | None]:
    """Bring pages to uint8: pages of uint8 are kept, all deeper pages are put on one scale.

    The scale is the percentile range of all values together (of the three channels too). Placeholders among
    grey values are left out and become black.

    Parameters
    ----------
    path
        The file, for errors.
    pages
        Arrays (height, width) of grey or (height, width, 3) of RGB, of any dtype.
    scale
        Grey scale of the series that the file belongs to, used instead for a single page of deeper grey.

    Returns
    -------
    pages
        The pages in the same order and shape, uint8.
    grey
        Intensity facts of a single page of deeper grey, which several files may share; else None.

    Raises
    ------
    DamagedFileError
        If no value of the deeper pages is finite.
    """
    grey = None
    if len(pages) == 1 and pages[0].dtype != np.uint8 and pages[0].ndim == 2:
        histogram = Histogram.from_values(pages[0])
        if own := histogram.percentile_range():
            own_scale = SeriesScale(PERCENTILES, own.numbers)
            grey = IntensityFacts(None, frozenset({()}), histogram, False, digest(str(path)), own_scale)
    if grey and (range_ := (scale or grey.own_scale or SeriesScale("")).range_among(())):
        return [range_.to_pixels(pages[0])], grey
    deep = [page for page in pages if page.dtype != np.uint8]
    if any(page.ndim == 3 for page in deep):
        ends = intensity.percentile_range(path, deep)
        scaled = iter([intensity.scale_linearly(page, *ends) for page in deep])
    else:
        scaled = iter(scale_by_percentiles(path, deep) if deep else [])
    return [page if page.dtype == np.uint8 else next(scaled) for page in pages], grey


def _quantisation(image: Image.Image) -> float | None:
    """Return the mean of a JPEG's luminance quantisation table, its first; None for other formats."""
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    return statistics.fmean(tables[min(tables)]) if tables else None


def _pages(path: Path, image: Image.Image) -> Iterator[Image.Image]:
    """Yield the pages, not yet decoded, after checking each against the limits."""
    total = 0
    for index in range(limits.MAX_SLICES + 1):
        if index:
            try:
                image.seek(index)
            except EOFError:
                return
        limits.check_slice(path, image.height, image.width)
        mode = ImageMode.getmode(image.mode)
        depth = 2 if deep_colour.is_16_bit(image) else np.dtype(mode.typestr).itemsize
        total += image.height * image.width * len(mode.bands) * depth
        limits.check_total(path, index + 1, total)
        yield image
        if image.format != "TIFF":
            return


def _values(image: Image.Image, content: bytes, index: int) -> Values:
    """Decode a page to uint8, (height, width) or (height, width, 3), or to deeper values as stored."""
    if deep_colour.is_16_bit(image):
        return intensity.one_channel_if_grey(deep_colour.decode(image, content, index))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image_values(image, white_is_zero(image))


def white_is_zero(image: Image.Image) -> bool:
    """Whether the image is a TIFF in which 0 is white. Pillow inverts such values of 8 bits only."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == _WHITE_IS_ZERO


def image_values(image: Image.Image, inverted: bool) -> Values:
    """Return the values of a decoded image.

    Parameters
    ----------
    image
        A decoded Pillow image, its EXIF orientation applied.
    inverted
        Whether 0 is white in grey of more than 8 bits (`white_is_zero`).

    Returns
    -------
    ndarray
        Grey (height, width) or RGB (height, width, 3) of uint8, or deeper grey (height, width) as stored.
    """
    if image.mode in _DEEP:
        values = np.array(image)
        return (65535.0 if values.dtype == np.uint16 else 0.0) - values if inverted else values
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    if image.mode == "1":
        image = image.convert("L")
    return np.asarray(image) if image.mode == "L" else _colour(image)


def _colour(image: Image.Image) -> Pixels:
    return intensity.one_channel_if_grey(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))
