"""JPEG, PNG, BMP, TIFF and WebP, through Pillow."""

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
from gliascope.io.raster_support import name_unsupported, unsupported
from gliascope.io.scales import IntensityFacts, SeriesScale, scale_by_percentiles
from gliascope.io.slices import Slice

# Tried in this order. Pillow imports the first three by itself, and all others at once unless they are here.
_FORMATS = ("JPEG", "PNG", "BMP", TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_UNSUPPORTED = "TIFF of a kind that is not supported"
_REMEDY = "save it as grey of 16 bits or of 32-bit floats"
_WHITE_IS_ZERO = 0  # TIFF 6.0, tag 262 (PhotometricInterpretation)

# Process-wide, because `warnings.catch_warnings` is not safe in threads. What Pillow warns of here (a large
# picture, odd metadata) ends as an error of ours or does not touch the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")


@name_unsupported
def read(path: Path, file: BinaryIO, scale: SeriesScale | None = None) -> list[Slice]:
    """Read one image file; a TIFF gives one slice a page, an animation its first frame.

    Eight-bit images keep their values. Transparency is laid on black, palettes and CMYK become RGB, RGB with
    three equal channels becomes grey, and the EXIF orientation is applied. Grey of 16 or 32 bits and colour
    of 16 are scaled by `intensity.spread` over all pages (the channels together), placeholders in grey apart;
    grey of a single page by the `scale` that it shares with others, where one is given.

    Raises TooLargeError before decoding, NotAnImageError for what Pillow does not decode (64-bit floats,
    colour in floats, JPEG of 12 bits or lossless, rare compressions); what Pillow raises on damaged content
    is left to the caller.
    """
    content = file.read()
    try:
        image = Image.open(BytesIO(content), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = str(error).partition(" exceeds")[0]
        raise TooLargeError(path, f"over {limits.MAX_MEGAPIXELS} megapixels a slice", size) from None
    except UnidentifiedImageError:
        if (kind := deep_colour.unknown_tiff(content)) and not unsupported(content):
            raise NotAnImageError(path, _UNSUPPORTED, f"{kind}; {_REMEDY}") from None
        raise DamagedFileError(path, "image truncated or damaged", "unreadable header") from None
    # A JPEG with embedded previews opens as MPO; its first picture is the image itself.
    name = "jpeg" if image.format == "MPO" else str(image.format).lower()
    quantisation = _quantisation(image)
    modes, pages = [], list[Values]()
    for index, page in enumerate(_pages(path, image)):
        if kind := deep_colour.unsupported_deep(page):
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
    """Bring pages, (height, width[, 3]), to uint8: those of uint8 as they are, all deeper ones on one scale.

    Also what a single page of deep grey says of its scale, which is `scale` where it is one of a series.
    Raises DamagedFileError where no value of the deeper pages is finite.
    """
    grey = None
    if len(pages) == 1 and pages[0].dtype != np.uint8 and pages[0].ndim == 2:
        counts = Histogram.from_values(pages[0])
        if alone := counts.percentile_range():
            grey = IntensityFacts(
                None,
                frozenset({()}),
                counts,
                False,
                digest(str(path)),
                SeriesScale(PERCENTILES, alone.numbers),
            )
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
    """Mean of a JPEG's first quantisation table, the luminance's; None for other formats."""
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    return statistics.fmean(tables[min(tables)]) if tables else None


def _pages(path: Path, image: Image.Image) -> Iterator[Image.Image]:
    """Yield the pages, each checked against the limits, not yet decoded."""
    total = 0
    for index in range(limits.MAX_SLICES + 1):
        if index:
            try:
                image.seek(index)
            except EOFError:
                return
        limits.check_slice(path, image.height, image.width)
        mode = ImageMode.getmode(image.mode)
        depth = 2 if deep_colour.is_deep(image) else np.dtype(mode.typestr).itemsize
        total += image.height * image.width * len(mode.bands) * depth
        limits.check_total(path, index + 1, total)
        yield image
        if image.format != "TIFF":
            return


def _values(image: Image.Image, content: bytes, index: int) -> Values:
    """Decode to uint8, (height, width) or (height, width, 3), or to deeper values as stored."""
    if deep_colour.is_deep(image):
        return intensity.one_channel_if_grey(deep_colour.decode(image, content, index))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return decoded_values(image, white_is_zero(image))


def white_is_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF; Pillow turns the values round at 8 bits only."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == _WHITE_IS_ZERO


def decoded_values(image: Image.Image, inverted: bool) -> Values:
    """Values of a decoded, upright image, (height, width[, 3]): uint8, or deeper grey as stored.

    inverted: whether 0 is white in deeper grey (`white_is_zero`).
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
