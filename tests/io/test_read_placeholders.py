"""Placeholders in volumes: they count for nothing, and make no CT."""

import numpy as np
import pytest

from gliascope.io import read
from gliascope.io.placeholders import is_hounsfield, measured_range

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")


@pytest.fixture
def volume(mr):
    return np.stack([mr] * 6, axis=2).astype(np.int16)


@pytest.fixture
def beyond(outside):
    return np.stack([outside] * 6, axis=2)


def body(slices):
    return np.stack([slice_.pixels for slice_ in slices])


def smooth(values):
    """What interpolation does: each value becomes the mean with its neighbours."""
    return sum(np.roll(values, shift, axis=(0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))) / 4


@pytest.mark.parametrize("placeholder", [-1000, -1024, -2000, -3024, -9999, -32768])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_mr_on_a_placeholder_is_mr(make, volume, beyond, placeholder, dtype):
    padded = np.where(beyond, placeholder, volume).astype(dtype)
    slices = read(make.nifti(padded))
    assert {slice_.modality for slice_ in slices} == {None}
    assert np.array_equal(body(slices), body(read(make.nifti(volume))))


@pytest.mark.parametrize("placeholder", [-3.4028235e38, -1e30, np.nan, -np.inf, 65535, 2.0**31 - 1, 1e6])
def test_floats_on_a_placeholder(make, volume, beyond, placeholder):
    padded = np.where(beyond, np.float32(placeholder), volume.astype(np.float32))
    assert np.array_equal(body(read(make.nifti(padded))), body(read(make.nifti(volume))))


def test_two_placeholders(make, volume, beyond):
    padded = np.where(beyond, -1024, volume).astype(np.int16)
    padded[:, :3] = -32768
    padded_less = volume.copy()
    padded_less[:, :3] = 0
    assert np.array_equal(body(read(make.nifti(padded))), body(read(make.nifti(padded_less))))


def test_a_placeholder_in_scaled_values(make, volume, beyond):
    stored = np.where(beyond, -32768, volume).astype(np.int16)
    reference = body(read(make.nifti(volume)))
    for slope, inter in ((0.5, 10), (3, -100)):
        assert np.array_equal(body(read(make.nifti(stored, scl_slope=slope, scl_inter=inter))), reference)


def test_what_interpolation_leaves_of_a_placeholder_is_none_of_the_picture(make, volume, beyond):
    padded = smooth(np.where(beyond, -1024.0, volume)).astype(np.float32)
    slices = read(make.nifti(padded))
    plain = body(read(make.nifti(smooth(np.where(beyond, 0.0, volume)).astype(np.float32))))
    assert slices[0].modality is None
    assert np.abs(body(slices).astype(int) - plain).mean() < 10


@pytest.mark.parametrize("placeholder", [None, -1024, -2000, -3024, -32768])
def test_ct_stays_ct(make, ct, outside, placeholder):
    padded = ct if placeholder is None else np.where(outside, placeholder, ct)
    slices = read(make.nifti(np.stack([padded] * 3, axis=2).astype(np.int16)))
    assert {slice_.modality for slice_ in slices} == {"CT"}
    assert np.array_equal(slices[0].pixels, read(make.nifti(ct[..., np.newaxis]))[0].pixels)


def test_ct_of_clipped_air_and_ct_without_its_skull_stay_ct(ct):
    clipped = np.maximum(ct, -1000)
    assert is_hounsfield(clipped)
    assert is_hounsfield(np.where(ct < -900, -1024, ct))
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    assert is_hounsfield(np.where(x**2 + y**2 < 0.36, ct, -1024))
    assert is_hounsfield(ct[:8])  # nothing but air
    bare = np.where(ct < -900, -1000, ct)  # fat, and no air but of one value
    assert is_hounsfield(bare)
    assert is_hounsfield(np.where(bare < -50, -1000, bare))  # nor fat


def test_what_is_as_low_but_no_ct():
    random = np.random.default_rng(0)
    assert not is_hounsfield(random.normal(0, 1000, 10_000))  # standardised MR, in thousandths
    assert not is_hounsfield(random.uniform(-4096, 4095, 10_000))  # phase
    assert not is_hounsfield(-random.uniform(0, 800, 10_000))
    assert not is_hounsfield(np.full(100, np.nan))


def test_no_placeholder_where_there_is_none(mr, ct):
    random = np.random.default_rng(0)
    everything = (-np.inf, np.inf)
    labels = np.where(mr > 500, 1000, -1024) + mr % 3
    for values in (mr, ct, labels, random.normal(0, 1, 5000), np.zeros(50), np.full(50, np.nan)):
        assert measured_range(values) == everything
    saturated = np.minimum(random.exponential(20000, 5000), 65535)
    assert measured_range(saturated) == everything


def test_without_a_valid_scaling_there_is_none(make, volume):
    reference = body(read(make.nifti(volume)))
    for slope, inter in ((0, 5), (np.nan, 5), (np.nan, np.nan), (0, np.nan), (np.inf, 0)):
        slices = read(make.nifti(volume, scl_slope=slope, scl_inter=inter))
        assert np.array_equal(body(slices), reference)
    (first, *_) = read(make.nifti(volume, scl_slope=2, scl_inter=np.nan))
    assert np.array_equal(first.pixels, reference[0])
    assert first.notes == ("scl_inter is no number: read as 0",)


def test_a_float_tiff_on_a_placeholder(make, mr, outside):
    from PIL import Image

    padded = np.where(outside, np.float32(-3.4028235e38), mr.astype(np.float32))
    results = [
        read(make.image(Image.fromarray(one), "TIFF"))[0].pixels for one in (padded, mr.astype(np.float32))
    ]
    assert np.array_equal(*results)
