"""Colour images of 16 bits a channel, of which Pillow alone decodes the upper 8 bits only.

Also names what a TIFF holds that Pillow cannot decode, for error messages.
"""

import sys
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from gliascope.io.intensity import Values

# Pillow keeps the upper byte of each 16-bit value. With the byte order swapped, it keeps the lower byte.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_DEEP_MODES = ("RGB;16", "RGBX;16", "RGBA;16", "RGBa;16", "LA;16")
_SEPARATE = 2  # TIFF 6.0, tag 284 (PlanarConfiguration)
_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}


def is_16_bit(image: Image.Image) -> bool:
    """Whether an image that is not yet decoded is colour, or transparent grey, of 16 bits a channel."""
    modes = _raw_modes(image)
    return bool(modes) and all(mode.startswith(_DEEP_MODES) for mode in modes)


def decode(image: Image.Image, content: bytes, index: int) -> Values:
    """Decode one page of 16 bits a channel (`is_16_bit`), with transparent parts laid on black.

    Parameters
    ----------
    image
        The image that Pillow opened from `content`, at page `index`, not yet decoded.
    content
        The whole file.
    index
        The page, from 0.

    Returns
    -------
    ndarray
        RGB of 0 to 65535, (height, width, 3): uint16, or float64 where any pixel is transparent.
    """
    premultiplied = _raw_modes(image)[0].startswith("RGBa")
    lower = Image.open(BytesIO(content), formats=(image.format or "",))
    lower.seek(index)
    if _raw_modes(image)[0] == "LA;16B":
        # Four bytes a pixel, so four channels of eight bits.
        channels = _decode_as(lower, "RGBA").astype(np.uint16)
        values = channels[..., [0, 0, 0, 2]] << 8 | channels[..., [1, 1, 1, 3]]
    else:
        mode = _raw_modes(image)[0].replace("RGBa", "RGBA")
        swapped = mode[:-1] + _SWAPPED[mode[-1]]
        values = _decode_as(image, mode).astype(np.uint16) << 8 | _decode_as(lower, swapped)
    transparent = image.info.get("transparency")
    colours = values[..., :3]
    if values.shape[-1] == 4 and not premultiplied:
        alpha = values[..., 3:]
        return colours if (alpha == 65535).all() else colours * (alpha / 65535)
    if isinstance(transparent, tuple):
        colours[(colours == np.array(transparent)).all(axis=-1)] = 0
    return colours


def unsupported_16_bit(image: Image.Image) -> str:
    """Name what Pillow would decode wrongly in an image of 16 bits; empty if it decodes all of it rightly."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or 16 not in image.tag_v2.get(258, ()):
        return ""
    if image.mode == "CMYK":
        return "16-bit CMYK"
    planes = len(image.tag_v2[258]) > 1 and image.tag_v2.get(284) == _SEPARATE
    return "16-bit colour in separate planes" if planes else ""


def describe_tiff(content: bytes) -> str:
    """Describe the values of the first page of a TIFF, such as "3 channels of 64 bits, float".

    Returns an empty text if the content is no TIFF or its directory is incomplete.
    """
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if content[2:3] == b"+" else 8])
        file = BytesIO(content)
        file.seek(directory.next)
        directory.load(file)
        if not all(tag in directory for tag in (256, 257, 258)) or not {273, 324} & set(directory):
            return ""
        bits = directory[258]
        kind = _SAMPLE_FORMATS.get(int((directory.get(339) or (1,))[0]), "other")
        return (
            f"{len(bits)} channels of {bits[0]} bits, {kind}" if len(bits) > 1 else f"{bits[0]} bits, {kind}"
        )
    except Exception:
        return ""


def _raw_modes(image: Image.Image) -> list[str]:
    """Return Pillow's name of the layout of the encoded values, of each tile of the image."""
    tiles: Any = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return [tile[3] if isinstance(tile[3], str) else str(tile[3][0]) for tile in tiles if tile[3]]


def _decode_as(image: Any, mode: str) -> Values:
    """Decode an image as if its encoded values had the layout `mode`."""
    tiles = []
    for codec, extents, offset, arguments in image.tile:
        tiles.append((codec, extents, offset, mode if isinstance(arguments, str) else (mode, *arguments[1:])))
    image.tile = [ImageFile._Tile(*tile) for tile in tiles] if hasattr(ImageFile, "_Tile") else tiles
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.array(image)
