"""The one preprocessing: what training stores, prediction sees and the Bundle carries."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Preprocessing(BaseModel):
    """How decoded pixels become network input.

    `preprocess` does what comes before the uint8 boundary (channels, size, filter); the exported graph
    does the rest, `(pixels / 255 - mean) / std`, one value a colour channel.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Literal["grey", "rgb"] = "grey"
    size: int = Field(default=224, ge=16, le=1024)
    filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one preprocessed slice: (size, size), or (size, size, 3) for RGB."""
        return (self.size, self.size) if self.channels == "grey" else (self.size, self.size, 3)


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of an RGB slice by ITU-R BT.601, as Pillow's "L"; a grey slice as it is."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def preprocess(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Bring one slice, uint8 (height, width) or (height, width, 3), to `preprocessing.shape`, uint8."""
    if preprocessing.channels == "grey":
        pixels = to_grey(pixels)
    elif pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
    size = (preprocessing.size, preprocessing.size)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, FILTERS[preprocessing.filter]))
