import numpy as np

from gliascope.uncertainty.features import grey_levels, layout, ood_features


def test_grey_levels_are_shares_of_the_pixels() -> None:
    pixels = np.zeros((2, 4, 4), dtype=np.uint8)
    pixels[0, 0] = 255
    pixels[1, :2] = 40
    expected = np.zeros((2, 8))
    expected[0, [0, 7]] = 12, 4
    expected[1, [0, 1]] = 8, 8
    assert np.allclose(grey_levels(pixels) ** 2, expected / 16)
    assert np.allclose(grey_levels(np.repeat(pixels[..., None], 3, axis=3)), grey_levels(pixels))


def test_layout_is_the_mean_grey_of_equal_boxes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    boxes = pixels.reshape(2, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(2, 256) / 255
    assert np.allclose(layout(pixels), boxes, atol=1 / 255)
    assert np.array_equal(layout(np.repeat(pixels[..., None], 3, axis=3)), layout(pixels))
    assert layout(pixels[:, :50, :50]).shape == (2, 256)


def test_all_features_are_float32_rows_of_the_slices() -> None:
    pixels = np.zeros((3, 20, 20), dtype=np.uint8)
    found = ood_features(pixels, np.zeros((3, 7), dtype=np.float32))
    assert {name: values.shape for name, values in found.items()} == {
        "network": (3, 7),
        "grey_levels": (3, 8),
        "layout": (3, 256),
    }
    assert all(values.dtype == np.float32 for values in found.values())
