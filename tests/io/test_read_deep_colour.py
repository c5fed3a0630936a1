"""Colour of 16 bits a channel, and TIFFs that Pillow does not know."""

import struct
import zlib

import numpy as np
import pytest

from gliascope.errors import DamagedFileError, NotAnImageError
from gliascope.io import read

# pytest undoes the filters that the readers set.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")
RGB, LA, RGBA = 2, 4, 6


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


def png(stored, colour_type):
    """Pillow writes no PNG of 16-bit colour."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = stored.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(stored, order="<", planes=False, packed=False, **tags):
    """One page in one strip, or a strip a plane; Pillow writes none of 16-bit colour or 64-bit floats."""
    height, width, channels = stored.shape
    kind = {"u": 1, "i": 2, "f": 3}[stored.dtype.kind]
    stored = stored.astype(stored.dtype.newbyteorder(order))
    strips = [plane.tobytes() for plane in np.moveaxis(stored, -1, 0)] if planes else [stored.tobytes()]
    strips = [zlib.compress(strip) if packed else strip for strip in strips]
    offsets = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    values = {
        256: [width], 257: [height], 258: [stored.itemsize * 8] * channels, 259: [8 if packed else 1],
        262: [2 if channels > 2 else 1], 273: offsets, 277: [channels], 278: [height],
        279: [len(strip) for strip in strips], 284: [2 if planes else 1], 339: [kind] * channels,
    } | {int(tag[1:]): value for tag, value in tags.items()}  # fmt: skip
    body, rest = b"", b""
    end = 8 + sum(map(len, strips))
    for tag in sorted(values):
        content = struct.pack(f"{order}{len(values[tag])}I", *values[tag])
        place = (
            content if len(content) <= 4 else struct.pack(f"{order}I", end + 6 + 12 * len(values) + len(rest))
        )
        rest += content if len(content) > 4 else b""
        body += struct.pack(f"{order}HHI", tag, 4, len(values[tag])) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    return head + b"".join(strips) + struct.pack(f"{order}H", len(values)) + body + bytes(4) + rest


@pytest.fixture
def colour(mr):
    return np.stack([mr, mr // 2 + 7, mr[::-1] // 3], axis=-1)


def spread(values):
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1) * 255


def test_three_equal_channels_are_grey_to_the_last_bit(make, mr):
    grey = pixels(make.image(mr, "PNG"))
    assert len(np.unique(grey)) > 150
    three = np.stack([mr] * 3, axis=-1)
    for content in (png(three, RGB), tiff(three), tiff(three, packed=True)):
        assert np.array_equal(pixels(make.bytes(content)), grey)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_colour_is_scaled_jointly_by_its_own_range(make, colour, order, packed):
    for content in (png(colour, RGB), tiff(colour, order, packed=packed)):
        assert np.abs(pixels(make.bytes(content)) - spread(colour)).max() <= 0.5 + 1e-6


def test_transparency_is_laid_on_black(make, mr, outside):
    alpha = np.where(outside, 0, 65535).astype(np.uint16)
    grey = pixels(make.image(np.where(outside, 0, mr).astype(np.uint16), "PNG"))
    veiled = mr + 100 * outside.astype(np.uint16)
    assert np.array_equal(pixels(make.bytes(png(np.stack([veiled, alpha], axis=-1), LA))), grey)
    assert np.array_equal(pixels(make.bytes(png(np.stack([veiled] * 3 + [alpha], axis=-1), RGBA))), grey)
    assert np.array_equal(pixels(make.bytes(tiff(np.stack([veiled] * 3 + [alpha], axis=-1), t338=[2]))), grey)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_fourth_channel_that_is_none_or_laid_on_black_already(make, colour, extra):
    alpha = np.full((*colour.shape[:2], 1), 65535, np.uint16)
    result = pixels(make.bytes(tiff(np.concatenate([colour, alpha], axis=-1), t338=[extra])))
    assert np.abs(result - spread(colour)).max() <= 0.5 + 1e-6


def test_colour_in_planes_is_refused(make, colour):
    """Pillow reads eight bits a pixel of it, or the upper byte twice."""
    for packed in (False, True):
        with pytest.raises(
            NotAnImageError, match=r"not supported \(16-bit colour in separate planes; save it"
        ):
            read(make.bytes(tiff(colour, planes=True, packed=packed)))
    with pytest.raises(NotAnImageError, match="16-bit CMYK"):
        read(make.bytes(tiff(np.concatenate([colour, colour[..., :1]], axis=-1), t262=[5])))
    flat = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert np.array_equal(pixels(make.bytes(tiff(flat, planes=True))), flat[..., 0])


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4 RGB", "<f2", "<i8", "<u8"])
def test_tiffs_that_are_not_known_are_not_called_damaged(make, mr, kind):
    stored = mr[..., np.newaxis].astype(kind[:3])
    stored = np.repeat(stored, 3, axis=-1) if "RGB" in kind else stored
    with pytest.raises(
        NotAnImageError, match=r"TIFF of a kind that is not supported \(.*bits.*; save it as grey of 16"
    ):
        read(make.bytes(tiff(stored, kind[0])))


def test_a_tiff_without_its_directory_is_damaged(make, mr):
    content = tiff(mr[..., np.newaxis].astype(np.float64))
    for cut in (content[:20], content[: mr.size * 8]):
        with pytest.raises(DamagedFileError):
            read(make.bytes(cut))


def test_float_tiffs_of_32_bits_are_read(make, mr):
    grey = pixels(make.image(mr, "PNG"))
    assert np.array_equal(pixels(make.bytes(tiff(mr[..., np.newaxis].astype(np.float32)))), grey)
