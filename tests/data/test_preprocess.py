import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gliascope.data.preprocess import Preprocessing, preprocess, to_grey

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
