"""Turn the pixels of a slice into the input of a network: the same way for training and for prediction."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gliascope.preprocessing.head import Box, head_box

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


Mean = Annotated[float, Field(ge=-255, le=255)]
Deviation = Annotated[float, Field(gt=0, le=255)]


class Preprocessing(BaseModel):
    """How decoded pixels become the input of a network.

    `preprocess` makes a uint8 picture of a slice, which the store keeps. The exported network does the rest:
    it cuts to the central square and takes `(pixels / 255 - mean) / std`.

    Attributes
    ----------
    channels : str
        "grey" or "rgb".
    size : int
        Side of the stored picture in pixels.
    filter : str
        Pillow's filter for resizing: "bilinear", "bicubic" or "lanczos".
    crop : str
        "head" cuts to `head.head_box`, so that borders, frames and text outside of it are not seen; "none"
        keeps the whole slice.
    fit : str
        How a slice becomes a square. "stretch" resizes each side by itself. "pad" adds black border, so that
        nothing is stretched. "cover" keeps the central square of the longer side.
    standardise : bool
        Set black and white by `intensity_table`, so that a source's brightness and contrast are not seen.
    centre : int or None
        Side of the central square that the network sees, in pixels; None for the whole stored picture.
        torchvision's Resize(256) and CenterCrop(224) are size 256, fit "cover" and centre 224.
    mean, std : tuple of float or None
        One value for each colour channel, in units of [0, 1]; None takes the backbone's own, which a Run and
        a Bundle hold as numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channels: Literal["grey", "rgb"] = "grey"
    size: int = Field(default=224, ge=16, le=1024)
    filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    crop: Literal["none", "head"] = "none"
    fit: Literal["stretch", "pad", "cover"] = "stretch"
    standardise: bool = False
    centre: int | None = Field(default=None, ge=16, le=1024)
    mean: tuple[Mean, Mean, Mean] | None = None
    std: tuple[Deviation, Deviation, Deviation] | None = None

    @model_validator(mode="after")
    def _centre_lies_within(self) -> "Preprocessing":
        if self.input_size > self.size:
            raise ValueError(f"expected a centre of at most {self.size}, the size, but got {self.centre}")
        return self

    @property
    def input_size(self) -> int:
        """Side of the square that the network sees, in pixels."""
        return self.centre or self.size

    @property
    def margin(self) -> int:
        """Pixels from an edge of the stored picture to the central square, rounded as by torchvision."""
        return round((self.size - self.input_size) / 2)

    @property
    def stored_box(self) -> Box:
        """Box of the stored picture that the network sees; for that of the slice see `visible_box`."""
        end = self.margin + self.input_size
        return self.margin, end, self.margin, end

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one preprocessed slice: (size, size), or (size, size, 3) for RGB."""
        return (self.size, self.size) if self.channels == "grey" else (self.size, self.size, 3)


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of an RGB slice (ITU-R BT.601, as Pillow's mode L), or a grey slice as it is."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def preprocess(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Make the stored picture of one slice.

    Parameters
    ----------
    pixels
        uint8, (height, width) in grey or (height, width, 3) in RGB.
    preprocessing
        How to do it.

    Returns
    -------
    ndarray
        uint8, of shape `preprocessing.shape`.

    Examples
    --------
    >>> preprocess(np.zeros((300, 200), np.uint8), Preprocessing(size=64)).shape
    (64, 64)
    """
    if preprocessing.channels == "grey":
        pixels = to_grey(pixels)
    elif pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
    pixels = np.ascontiguousarray(pixels)
    image = Image.fromarray(pixels)
    if preprocessing.crop == "head" or preprocessing.standardise:
        grey = to_grey(pixels)
        box = head_box(grey)
        if preprocessing.standardise:
            image = image.point(intensity_table(grey, box) * len(image.getbands()))
        if preprocessing.crop == "head":
            top, bottom, left, right = box
            image = image.crop((left, top, right, bottom))
    size, resampling = preprocessing.size, FILTERS[preprocessing.filter]
    if preprocessing.fit == "cover":
        return np.asarray(image.resize((size, size), resampling, box=_covered(*image.size, size)))
    if preprocessing.fit == "stretch" or image.width == image.height:
        return np.asarray(image.resize((size, size), resampling))
    # Resized before padding: a square around a long, thin slice could be larger than memory.
    (left, width), (top, height) = _padded(*image.size, size)
    square = Image.new(image.mode, (size, size))
    square.paste(image.resize((width, height), resampling), (left, top))
    return np.asarray(square)


def visible_box(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> Box:
    """Find the box of a slice that the network sees.

    It is `Preprocessing.stored_box`, followed back from the stored picture to the slice. A saliency map is
    drawn into one of the two: over a stored picture, or over a slice.

    Parameters
    ----------
    pixels
        The slice, uint8 (height, width) or (height, width, 3).
    preprocessing
        How its stored picture is made.

    Returns
    -------
    Box
        In whole pixels of the slice. With fit "pad" it may reach beyond the slice.
    """
    top, bottom, left, right = 0, pixels.shape[0], 0, pixels.shape[1]
    if preprocessing.crop == "head":
        top, bottom, left, right = head_box(to_grey(pixels))
    size, start, height, width = preprocessing.size, preprocessing.margin, bottom - top, right - left
    # Where the stored picture begins and ends, in pixels, from the top left of the cropped slice.
    across, down = (0.0, float(width)), (0.0, float(height))
    if preprocessing.fit == "cover":
        covered = _covered(width, height, size)
        across, down = covered[::2], covered[1::2]
    elif preprocessing.fit == "pad":
        (before, wide), (above, high) = _padded(width, height, size)
        across = (-before * width / wide, (size - before) * width / wide)
        down = (-above * height / high, (size - above) * height / high)

    def back(ends: tuple[float, float], position: int) -> int:
        return round(ends[0] + (ends[1] - ends[0]) * position / size)

    end = start + preprocessing.input_size
    return (
        top + back(down, start),
        top + back(down, end),
        left + back(across, start),
        left + back(across, end),
    )


def _padded(width: int, height: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return start and length of a slice within a black square, across and down."""
    longest = max(width, height)
    lengths = [max(1, round(length * size / longest)) for length in (width, height)]
    across, down = (((size - length) // 2, length) for length in lengths)
    return across, down


def _covered(width: int, height: int, size: int) -> tuple[float, float, float, float]:
    """Return the box that torchvision's Resize(size) and CenterCrop(size) keep: left, top, right, bottom.

    Resizing this box alone gives the same pixels, without resizing all of a long, thin slice first.
    """
    ends = []
    for length in (width, height):
        resized = int(size * length / min(width, height))
        start = round((resized - size) / 2)
        ends.append((start * length / resized, (start + size) * length / resized))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def intensity_table(grey: NDArray[np.uint8], head: Box) -> list[int]:
    """Make a look-up table that maps percentiles 1 and 99 of the head's box to 0 and 255.

    A head leaves the corners of its box free, so the first percentile is the level of the background: a grey
    veil becomes black. Above the 99th lie vessels, fat and bone, which would otherwise set the scale.

    Parameters
    ----------
    grey
        uint8, (height, width).
    head
        Box of the head.

    Returns
    -------
    list of int
        256 values, linear between the percentiles; the identity where both are equal.
    """
    top, bottom, left, right = head
    below = np.cumsum(np.bincount(grey[top:bottom, left:right].ravel(), minlength=256))
    low, high = (int(np.searchsorted(below, share * below[-1])) for share in (0.01, 0.99))
    if low == high:
        return list(range(256))
    table = ((np.arange(256) - low) * (255 / (high - low))).round().clip(0, 255)
    return [int(value) for value in table]
