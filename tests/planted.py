"""Copies of slices, made as the field makes them."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import polars as pl
from PIL import Image

from gliascope.dataset.scan import make_thumbnails, pixel_hash


def _jpeg(image: Image.Image) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "jpeg", quality=50)
    return Image.open(stream)


def _resized(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize((round(image.width * factor), round(image.height * factor)))


def _cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    def crop(image: Image.Image) -> Image.Image:
        x, y = round(image.width * share), round(image.height * share)
        return image.crop((x, y, image.width - x, image.height - y))

    return crop


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 50": _jpeg,
    "half size": _resized(0.5),
    "1.5 times the size": _resized(1.5),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "brighter by 15 %": lambda image: image.point(lambda value: min(255, value * 1.15)),
    "cropped by 2.5 %": _cropped(0.025),
    "cropped by 5 %": _cropped(0.05),
}


def frame_of(pictures: dict[str, np.ndarray]) -> pl.DataFrame:
    """What the search for copies reads of a catalogue: a row a picture, named in `path`."""
    rows = []
    for name, pixels in pictures.items():
        thumbnail, head_thumbnail = make_thumbnails(pixels)
        row = {"path": name, "pixel_hash": pixel_hash(pixels)}
        rows.append(row | {"thumbnail": thumbnail, "head_thumbnail": head_thumbnail})
    return pl.DataFrame(rows)
