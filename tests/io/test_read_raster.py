"""JPEG, PNG, BMP, TIFF, WebP: the pixels, not only the shapes."""

import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from gliascope.errors import DamagedFileError, TooLargeError
from gliascope.io import limits, read

# pytest undoes the filters that the readers set.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")


def pixels(path):
    (slice_,) = read(path)
    return slice_.pixels


@pytest.fixture
def colour(ramp):
    return np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1)


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_value(make, ramp, colour, format_):
    options = {"lossless": True} if format_ == "WEBP" else {}
    assert np.array_equal(pixels(make.image(ramp, format_, **options)), ramp)
    assert np.array_equal(pixels(make.image(colour, format_, **options)), colour)


def test_jpeg_is_what_pillow_decodes(make, ramp, colour):
    for source in (ramp, colour):
        path = make.image(source, "JPEG", quality=90)
        assert np.array_equal(pixels(path), np.asarray(Image.open(path)))


def test_grey_saved_as_rgb_is_grey(make, ramp):
    rgb = np.stack([ramp] * 3, axis=-1)
    assert np.array_equal(pixels(make.image(rgb, "PNG")), ramp)
    assert np.array_equal(pixels(make.image(Image.fromarray(ramp).convert("P"), "PNG")), ramp)


def test_palette_becomes_rgb(make):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert pixels(make.image(image, "PNG")).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_one_bit_becomes_black_and_white(make):
    image = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    for format_ in ("PNG", "BMP", "TIFF"):
        assert pixels(make.image(image, format_)).tolist() == [[0, 255, 0]]


def test_alpha_is_laid_on_black(make):
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    assert pixels(make.image(rgba, "PNG")).tolist() == [[[200, 100, 50], [0, 0, 0], [40, 20, 10]]]


def test_grey_alpha_is_laid_on_black_and_stays_grey(make):
    image = Image.merge("LA", [Image.new("L", (2, 1), 200), Image.new("L", (2, 1))])
    image.putpixel((1, 0), (200, 255))
    assert pixels(make.image(image, "PNG")).tolist() == [[0, 200]]


def test_a_transparent_colour_is_black(make):
    image = Image.new("L", (2, 1), 90)
    image.putpixel((1, 0), 120)
    assert pixels(make.image(image, "PNG", transparency=90)).tolist() == [[0, 120]]


def test_cmyk_becomes_rgb(make):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert pixels(make.image(image, "TIFF"))[0, 0].tolist() == [255, 0, 0]
    assert np.abs(pixels(make.image(image, "JPEG"))[0, 0].astype(int) - [255, 0, 0]).max() < 6


def test_sixteen_bit_grey_is_spread(make):
    values = np.arange(1000, 1000 + 64 * 64, dtype=np.uint16).reshape(64, 64)
    low, high = np.percentile(values, (0.5, 99.5))
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    for format_ in ("PNG", "TIFF"):
        assert np.abs(pixels(make.image(values, format_)) - expected).max() <= 0.5 + 1e-6


def test_float_grey_is_spread_and_nan_is_black(make):
    values = np.linspace(-3, 5, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[5, 6] = np.nan
    result = pixels(make.image(values, "TIFF"))
    assert (result[0, 0], result[5, 6], result[-1, -1]) == (0, 0, 255)
    assert result[32, 0] == pytest.approx(127.5, abs=1)


def test_all_nan_is_damaged(make):
    with pytest.raises(DamagedFileError, match="no finite value"):
        read(make.image(np.full((4, 4), np.nan, np.float32), "TIFF"))


def test_white_is_zero_is_turned_round_at_sixteen_bits_too(make):
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    path = make.image(values, "TIFF", tiffinfo={262: 0})
    result = pixels(path)
    assert (result[0, 0], result[-1, -1]) == (255, 0)


def test_a_constant_image_is_blank(make):
    assert pixels(make.image(np.full((4, 4), 700, np.uint16), "PNG")).max() == 0


def test_tiff_pages_are_slices_on_one_scale(make):
    first = Image.fromarray(np.full((8, 8), 100, np.uint16))
    second = Image.fromarray(np.full((8, 9), 300, np.uint16))
    path = make.image(first, "TIFF", save_all=True, append_images=[second])
    slices = read(path)
    assert [(s.index, s.pixels.shape) for s in slices] == [(0, (8, 8)), (1, (8, 9))]
    assert (slices[0].pixels.max(), slices[1].pixels.min()) == (0, 255)


def test_mode_is_the_files_not_the_pixels(make, ramp):
    transparent = Image.fromarray(ramp).convert("P")
    transparent.info["transparency"] = 3
    for image, format_, mode in (
        (Image.fromarray(ramp), "PNG", "L"),
        (Image.fromarray(ramp).convert("RGB"), "PNG", "RGB"),
        (Image.fromarray(ramp).convert("LA"), "PNG", "LA"),
        (transparent, "PNG", "P"),
        (Image.fromarray(ramp).convert("CMYK"), "TIFF", "CMYK"),
        (Image.fromarray(ramp).convert("1"), "PNG", "1"),
    ):
        (slice_,) = read(make.image(image, format_))
        assert (slice_.mode, slice_.quantisation) == (mode, None)


def test_a_jpegs_luminance_quantisation_is_averaged(make, ramp, colour):
    tables = [[4] * 64, [40] * 64]
    (grey,) = read(make.image(ramp, "JPEG", qtables=tables[:1]))
    (rgb,) = read(make.image(colour, "JPEG", qtables=tables))
    assert (grey.mode, grey.quantisation, rgb.mode, rgb.quantisation) == ("L", 4.0, "RGB", 4.0)


def test_an_animation_is_its_first_frame(make, ramp):
    frames = [Image.fromarray(ramp), Image.fromarray(255 - ramp)]
    path = make.image(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert np.array_equal(pixels(path), ramp)


def test_a_jpeg_with_previews_is_its_first_picture(make, ramp):
    path = make.image(ramp, "MPO", save_all=True, append_images=[Image.fromarray(255 - ramp)])
    (slice_,) = read(path)
    assert slice_.format == "jpeg"
    assert np.abs(slice_.pixels.astype(int) - ramp).max() < 20


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(make, format_):
    upright = np.zeros((16, 32), np.uint8)
    upright[:, 16:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    result = pixels(make.image(upright, format_, exif=exif))
    assert result.shape == (32, 16)
    assert result[:16].mean() < 10
    assert result[16:].mean() > 245


def bomb(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side + 1) * 1000)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [60_000, 12_000, 9_000])
def test_a_png_bomb_is_refused_without_decoding(make, side):
    path = make.bytes(bomb(side))
    read(make.image(np.zeros((2, 2), np.uint8), "PNG"))  # what is loaded once is not measured
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(TooLargeError, match="64 megapixels"):
        read(path)
    assert time.perf_counter() - started < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_pages_together_must_stay_below_the_limit(make, ramp, monkeypatch):
    path = make.image(ramp, "TIFF", save_all=True, append_images=[Image.fromarray(ramp)] * 3)
    monkeypatch.setattr(limits, "MAX_BYTES", 4 * ramp.size)
    monkeypatch.setattr(limits, "check_file", lambda path, size: None)
    assert len(read(path)) == 4
    monkeypatch.setattr(limits, "MAX_BYTES", 4 * ramp.size - 1)
    with pytest.raises(TooLargeError, match="decoded"):
        read(path)
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    monkeypatch.setattr(limits, "MAX_SLICES", 3)
    with pytest.raises(TooLargeError, match="over 3 slices"):
        read(path)
