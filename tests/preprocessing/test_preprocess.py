import numpy as np
import pytest
from heads import bordered, correlation, drawn_head, framed, with_text
from PIL import Image
from pydantic import ValidationError

from gliascope.preprocessing.head import head_box
from gliascope.preprocessing.preprocess import (
    Preprocessing,
    intensity_table,
    preprocess,
    to_grey,
    visible_box,
)
from gliascope.synthetic import LABELS, phantom

GREY = np.random.default_rng(0).integers(0, 256, (50, 70), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("pixels", [GREY, RGB])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_any_slice_gets_the_stated_shape(pixels: np.ndarray, channels: str) -> None:
    wanted = Preprocessing(channels=channels, size=32)
    out = preprocess(pixels, wanted)
    assert out.shape == wanted.shape
    assert out.dtype == np.uint8


def test_resizing_is_pillows() -> None:
    for name, resampling in (("bilinear", 2), ("bicubic", 3), ("lanczos", 1)):
        expected = np.asarray(Image.fromarray(GREY).resize((32, 32), resampling))
        assert np.array_equal(preprocess(GREY, Preprocessing(size=32, filter=name)), expected)


def test_a_grey_slice_in_three_channels_is_the_grey_slice() -> None:
    assert np.array_equal(to_grey(np.repeat(GREY[:, :, None], 3, axis=2)), GREY)
    out = preprocess(GREY, Preprocessing(channels="rgb", size=32))
    assert (out == out[:, :, :1]).all()


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="sise"):
        Preprocessing.model_validate({"sise": 32})


def test_the_defaults_only_resize() -> None:
    """What was trained before crop, fit and standardise existed must be fed as it was."""
    old = {"channels": "grey", "size": 32, "filter": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    plain = Preprocessing.model_validate(old)
    assert (plain.crop, plain.fit, plain.standardise, plain.centre) == ("none", "stretch", False, None)
    for pixels in (drawn_head(), framed(with_text(drawn_head()), 3)):
        expected = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR))
        assert preprocess(pixels, plain).tobytes() == expected.tobytes()


@pytest.fixture(scope="module")
def phantoms() -> list[np.ndarray]:
    return [phantom(label, seed).pixels for label in LABELS for seed in range(4)]


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_borders_added_or_cut_and_frames_do_not_show(phantoms: list[np.ndarray], channels: str) -> None:
    cropped = Preprocessing(channels=channels, size=64, crop="head", fit="pad")
    stretched = Preprocessing(channels=channels, size=64)
    alike, plain = [], []
    for pixels in phantoms:
        top, bottom, left, right = head_box(pixels)
        expected = preprocess(pixels, cropped)
        wide = bordered(pixels, 5, 20, 60, 30)
        for disturbed in (wide, pixels[top:bottom, left:right], framed(wide, 4), framed(with_text(wide), 4)):
            alike.append(correlation(preprocess(disturbed, cropped), expected))
        plain.append(correlation(preprocess(wide, stretched), preprocess(pixels, stretched)))
    # The box moves by up to a cell, which correlation of fine detail feels.
    assert min(alike) > 0.75
    assert np.median(alike) > 0.95
    assert np.median(plain) < 0.75


def test_padding_keeps_the_aspect_ratio_and_what_is_square() -> None:
    padded = Preprocessing(size=64, fit="pad")
    for shape, expected in (
        ((120, 60), (0, 64, 16, 48)),
        ((60, 240), (24, 40, 0, 64)),
        ((1, 5000), (31, 32, 0, 64)),
    ):
        out = preprocess(np.full(shape, 200, dtype=np.uint8), padded)
        top, bottom, left, right = expected
        lit = np.zeros((64, 64), dtype=np.uint8)
        lit[top:bottom, left:right] = 200
        assert np.array_equal(out, lit)
    square = GREY[:, :50]
    assert np.array_equal(preprocess(square, padded), preprocess(square, Preprocessing(size=64)))


@pytest.mark.parametrize("shape", [(50, 70), (97, 61), (64, 64), (300, 41), (1, 5000)])
def test_cover_and_centre_are_torchvisions_resize_and_centre_crop(shape: tuple[int, int]) -> None:
    """Against the definition: the shorter side is resized to `size`, the longer in proportion, then cut."""
    pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    wanted = Preprocessing(size=64, fit="cover", centre=56)
    height, width = shape
    resized = [int(64 * length / min(shape)) for length in (width, height)]
    picture = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BILINEAR))
    top, left = (round((length - 56) / 2) for length in picture.shape)
    out = preprocess(pixels, wanted)
    assert out.shape == (64, 64)
    seen_by_network = out[wanted.margin :, wanted.margin :][:56, :56].astype(int)
    assert np.abs(seen_by_network - picture[top : top + 56, left : left + 56]).max() <= 1


def test_the_centre_lies_within_the_picture() -> None:
    assert Preprocessing(size=342, centre=299).margin == 22
    assert Preprocessing(size=64).input_size == 64
    with pytest.raises(ValidationError, match="centre of at most 64, the size, but got 65"):
        Preprocessing(size=64, centre=65)


def test_the_brightness_of_the_source_does_not_show_once_standardised(phantoms: list[np.ndarray]) -> None:
    standard = Preprocessing(size=64, standardise=True)
    for pixels in phantoms:
        expected = preprocess(pixels, standard).astype(int)
        dim = (pixels * 0.6).round().astype(np.uint8)
        assert np.abs(preprocess(dim, standard) - expected).mean() < 2
        assert np.abs(preprocess(dim, Preprocessing(size=64)).astype(int) - expected).mean() > 5


def test_percentiles_of_the_head_become_black_and_white() -> None:
    veiled = (phantom("glioma", 1).pixels * 0.5 + 5).astype(np.uint8)  # still dark enough for background
    box = head_box(veiled)
    table = intensity_table(veiled, box)
    low, high = np.percentile(veiled[box[0] : box[1], box[2] : box[3]], (1, 99), method="inverted_cdf")
    assert (table[int(low)], table[int(high)]) == (0, 255)
    assert low >= 5
    assert table == sorted(table)
    middle = np.arange(int(low), int(high) + 1)
    assert np.allclose(np.array(table)[middle], (middle - low) * 255 / (high - low), atol=0.5)
    # Neither text nor border has a say.
    elsewhere = bordered(with_text(veiled), 100, 0, 0, 0)
    assert intensity_table(elsewhere, head_box(elsewhere)) == pytest.approx(table, abs=3)


def test_what_has_no_contrast_stays_as_it_is() -> None:
    everything = Preprocessing(size=16, crop="head", fit="pad", standardise=True)
    for level in (0, 77):
        assert (preprocess(np.full((20, 20), level, dtype=np.uint8), everything) == level).all()


@pytest.mark.parametrize("crop", ["none", "head"])
@pytest.mark.parametrize("fit", ["stretch", "pad", "cover"])
@pytest.mark.parametrize("centre", [None, 160])
def test_what_is_seen_is_what_reaches_the_network(crop: str, fit: str, centre: int | None) -> None:
    """A mark in the slice is found in the network's input where `seen` says that it lies."""
    pixels = bordered(drawn_head(), 0, 0, 0, 90)
    pixels[90:98, 80:88] = 255
    wanted = Preprocessing(size=200, crop=crop, fit=fit, centre=centre)
    top, bottom, left, right = visible_box(pixels, wanted)
    assert (abs((bottom - top) - (right - left)) <= 1) == (fit != "stretch")
    within = slice(wanted.margin, wanted.margin + wanted.input_size)
    out = np.argwhere(preprocess(pixels, wanted)[within, within] > 240).mean(axis=0) + 0.5
    side = wanted.input_size
    expected = ((94 - top) * side / (bottom - top), (84 - left) * side / (right - left))
    assert out == pytest.approx(expected, abs=1.5)
