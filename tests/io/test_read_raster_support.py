"""Images that are whole, and of a kind that Pillow does not decode."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from gliascope.errors import DamagedFileError, NotAnImageError
from gliascope.io import read

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")

NOISE = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)


def saved(format_, **options):
    content = io.BytesIO()
    Image.fromarray(NOISE).save(content, format_, **options)
    return bytearray(content.getvalue())


def jpeg(at, value):
    content = saved("JPEG")
    content[content.index(b"\xff\xc0") + at] = value
    return content


def tiff(tag, value):
    content = saved("TIFF")
    (start,) = struct.unpack("<I", content[4:8])
    for at in range(start + 2, len(content), 12):
        if struct.unpack("<H", content[at : at + 2])[0] == tag:
            content[at + 8 : at + 10] = struct.pack("<H", value)
            return content
    raise AssertionError(tag)


def bmp(compression):
    content = saved("BMP")
    content[30] = compression
    return content


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (jpeg(4, 12), "JPEG of 12 bits"),
        (jpeg(1, 0xC3), "lossless"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x28\0\x32\x01\x01\x11\0\xff\xda\0\x08\x01\x01", "near-lossless JPEG"),
        (tiff(259, 34712), "TIFF compression 34712"),
        (tiff(262, 32803), "TIFF photometric interpretation 32803"),
        (bmp(5), "BMP compression 5"),
    ],
)
def test_it_is_named_and_not_called_damaged(make, content, kind):
    with pytest.raises(NotAnImageError, match=rf"not supported \(.*{kind}.*; save it as") as caught:
        read(make.bytes(bytes(content)))
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("format_", ["JPEG", "TIFF", "BMP"])
def test_what_is_cut_off_is_damaged_all_the_same(make, format_):
    content = saved(format_)
    with pytest.raises(DamagedFileError):
        read(make.bytes(bytes(content[: len(content) // 2])))
