"""Colour of 16 bits a channel, of which Pillow decodes the upper eight, and TIFF that it does not know."""

import sys
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from gliascope.io.intensity import Values

# Pillow takes the upper byte of each pair; told that the pairs are of the other byte order, the lower.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_KNOWN = ("RGB;16", "RGBX;16", "RGBA;16", "RGBa;16", "LA;16")
_SEPARATE = 2  # TIFF 6.0, tag 284 (PlanarConfiguration)
_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}


def is_16_bit(image: Image.Image) -> bool:
    """Whether this picture, not yet decoded, is colour or grey with transparency of 16 bits a channel."""
    raw = _raw_modes(image)
    return bool(raw) and all(mode.startswith(_KNOWN) for mode in raw)


def decode(image: Image.Image, content: bytes, index: int) -> Values:
    """Decode page `index` of `content`, opened as `image`: (height, width, 3), transparency laid on black."""
    premultiplied = _raw_modes(image)[0].startswith("RGBa")
    lower = Image.open(BytesIO(content), formats=(image.format or "",))
    lower.seek(index)
    if _raw_modes(image)[0] == "LA;16B":
        # Four bytes a pixel, so four channels of eight bits.
        bytes_ = _decoded(lower, "RGBA").astype(np.uint16)
        values = bytes_[..., [0, 0, 0, 2]] << 8 | bytes_[..., [1, 1, 1, 3]]
    else:
        raw = _raw_modes(image)[0].replace("RGBa", "RGBA")
        swapped = raw[:-1] + _SWAPPED[raw[-1]]
        values = _decoded(image, raw).astype(np.uint16) << 8 | _decoded(lower, swapped)
    clear = image.info.get("transparency")
    colours = values[..., :3]
    if values.shape[-1] == 4 and not premultiplied:
        alpha = values[..., 3:]
        return colours if (alpha == 65535).all() else colours * (alpha / 65535)
    if isinstance(clear, tuple):
        colours[(colours == np.array(clear)).all(axis=-1)] = 0
    return colours


def unsupported_16_bit(image: Image.Image) -> str:
    """What Pillow would get wrong in this picture of 16 bits, in a few words; nothing if all is well."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or 16 not in image.tag_v2.get(258, ()):
        return ""
    if image.mode == "CMYK":
        return "16-bit CMYK"
    planes = len(image.tag_v2[258]) > 1 and image.tag_v2.get(284) == _SEPARATE
    return "16-bit colour in separate planes" if planes else ""


def describe_tiff(content: bytes) -> str:
    """What the first page of a TIFF holds, in a few words; nothing if it is no TIFF, or not a whole one."""
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if content[2:3] == b"+" else 8])
        file = BytesIO(content)
        file.seek(directory.next)
        directory.load(file)
        if not all(tag in directory for tag in (256, 257, 258)) or not {273, 324} & set(directory):
            return ""
        bits = directory[258]
        kind = _FORMATS.get(int((directory.get(339) or (1,))[0]), "other")
        return (
            f"{len(bits)} channels of {bits[0]} bits, {kind}" if len(bits) > 1 else f"{bits[0]} bits, {kind}"
        )
    except Exception:
        return ""


def _raw_modes(image: Image.Image) -> list[str]:
    tiles: Any = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return [tile[3] if isinstance(tile[3], str) else str(tile[3][0]) for tile in tiles if tile[3]]


def _decoded(image: Any, raw: str) -> Values:
    tiles = []
    for codec, extents, offset, arguments in image.tile:
        tiles.append((codec, extents, offset, raw if isinstance(arguments, str) else (raw, *arguments[1:])))
    image.tile = [ImageFile._Tile(*tile) for tile in tiles] if hasattr(ImageFile, "_Tile") else tiles
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.array(image)
