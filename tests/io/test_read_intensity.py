"""Grey values to uint8."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels.processing import apply_windowing

from gliascope.errors import DamagedFileError
from gliascope.io.intensity import apply_window, one_channel_if_grey, percentile_range, scale_linearly

PATH = Path("file")


def test_scale_is_linear_and_rounds_to_nearest():
    values = np.array([-5, 0, 1, 50, 99, 100, 999], np.int16)
    assert scale_linearly(values, 0, 100).tolist() == [0, 0, 3, 128, 252, 255, 255]


def test_scale_of_nothing_between_is_a_threshold():
    assert scale_linearly(np.array([6.9, 7.0, 7.1]), 7, 7).tolist() == [0, 0, 255]
    assert scale_linearly(np.full((2, 2), 7), 7, 7).max() == 0


def test_scale_takes_values_that_are_not_finite_for_the_lowest():
    assert scale_linearly(np.array([np.nan, -np.inf, np.inf, 10.0, 5.0]), 0, 10).tolist() == [
        0,
        0,
        0,
        255,
        128,
    ]


@pytest.mark.parametrize("largest", [np.finfo(np.float64).max, np.finfo(np.float64).smallest_subnormal])
def test_scale_survives_the_ends_of_floats(largest):
    assert scale_linearly(np.array([-largest, largest]), -largest, largest).tolist()[0] == 0


def test_spread_ignores_a_few_outliers_and_what_is_not_finite():
    values = np.concatenate([np.linspace(0, 1, 10_001), [1e6, np.nan, np.inf]])
    low, high = percentile_range(PATH, [values])
    assert low == pytest.approx(0.005, abs=1e-3)
    assert high == pytest.approx(0.995, abs=1e-3)


def test_spread_is_over_all_images_together():
    assert percentile_range(PATH, [np.zeros(1000), np.full(1000, 9.0)]) == (0.0, 9.0)


def test_spread_of_a_small_mask_is_its_range():
    mask = np.zeros((100, 100), np.uint16)
    mask[3, 4] = 1
    assert percentile_range(PATH, [mask]) == (0.0, 1.0)


def test_spread_needs_one_finite_value():
    with pytest.raises(DamagedFileError, match="no finite value"):
        percentile_range(PATH, [np.full((2, 2), np.nan), np.full(3, np.inf)])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40.0, 80.0), (500.5, 1.5), (-600.0, 1600.0)])
def test_window_agrees_with_pydicom(function, centre, width):
    values = np.arange(-2048, 2048, dtype=np.int16)
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 12, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = centre, width, function
    with np.errstate(over="ignore"):
        theirs = (apply_windowing(values, dataset) + 2048) / 4095 * 255
    ours = apply_window(values, centre, width, function)
    assert np.abs(ours - theirs).max() <= 0.5 + 1e-6


def test_window_of_width_one_is_a_threshold():
    # PS3.3 C.11.2.1.2: x <= c - 0.5 is the lowest, the rest the highest.
    assert apply_window(np.array([9, 10, 11]), 10, 1).tolist() == [0, 255, 255]


def test_equal_channels_become_one_and_others_stay():
    grey = np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4, 1), 3, axis=2)
    assert one_channel_if_grey(grey).shape == (3, 4)
    assert np.array_equal(one_channel_if_grey(grey), grey[..., 1])
    for channel in range(3):
        coloured = grey.copy()
        coloured[2, 3, channel] += 1
        assert one_channel_if_grey(coloured).shape == (3, 4, 3)
