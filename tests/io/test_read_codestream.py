"""Sizes that compressed frames declare."""

import io

import numpy as np
import pytest
from PIL import Image

from gliascope.io.codestream import frame_size


def encoded(array, format_, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(5, 7), (300, 20), (9, 4, 3)])
@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "comment": b"x" * 1000}),
        ("JPEG2000", {"no_jp2": True}),
        ("JPEG2000", {"no_jp2": False}),
    ],
)
def test_size_is_that_of_the_picture(shape, format_, options):
    data = encoded(np.zeros(shape, np.uint8), format_, **options)
    assert frame_size(data) == (*shape, 1)[:3]


def test_jpeg_ls():
    # SOI, SOF55: length 11, 16 bits, 64 rows, 65 columns, one component
    assert frame_size(bytes.fromhex("ffd8fff7000b100040004101011100")) == (64, 65, 1)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\x02" * 9, b"\xff\x4f\xff\x51\0", b"text" * 9]
)
def test_none_where_none_is_declared(data):
    assert frame_size(data) is None


def test_a_box_without_length_ends_the_search():
    data = encoded(np.zeros((8, 8), np.uint8), "JPEG2000")
    at = data.index(b"jp2h") - 4
    assert frame_size(data[:at] + bytes(4) + data[at + 4 :]) is None
