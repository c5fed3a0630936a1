import numpy as np
import pytest
import torch
from PIL import Image

from gliascope.errors import GliascopeError
from gliascope.robustness.corruptions import CORRUPTIONS, apply_corruption, bias_field

SIDE = 160


def head(colours: bool = False) -> np.ndarray:
    """A bright skull around soft tissue, higher than wide, with structure at many scales."""
    random = np.random.default_rng(0)
    y, x = (np.mgrid[:SIDE, : SIDE - 21].T - [SIDE / 2, SIDE / 2 - 10]).T
    radius = np.hypot(y / 70, x / 52)
    tissue = sum(
        np.asarray(Image.fromarray(random.normal(0, 14, (n, n)).astype(np.float32)).resize(x.shape[::-1]))
        for n in (4, 8, 16, 40, 90)
    )
    slice_ = np.where(radius < 1, 90 + tissue, 0) + 120 * (np.abs(radius - 0.95) < 0.05)
    pixels = slice_.clip(0, 255).astype(np.uint8)
    return np.stack([pixels, pixels // 2, pixels], axis=-1) if colours else pixels


@pytest.mark.parametrize("colours", [False, True], ids=["grey", "colours"])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_contract_every_disturbance_grows(name: str, colours: bool) -> None:
    """Same shape and type, the same by seed whatever torch draws meanwhile, and ever farther from the slice."""
    pixels = head(colours)
    before = pixels.copy()
    assert np.array_equal(apply_corruption(name, pixels, 0, 3), pixels)
    distances = []
    for strength in CORRUPTIONS[name].strengths:
        found = apply_corruption(name, pixels, strength, 3)
        assert found.shape == pixels.shape and found.dtype == np.uint8
        torch.rand(1)
        assert np.array_equal(found, apply_corruption(name, pixels, strength, 3))
        distances.append(np.abs(found.astype(float) - pixels).mean())
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all(), distances
    assert len(distances) == 5
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_strength_is_told_and_another(name: str) -> None:
    one = CORRUPTIONS[name]
    assert len({one.strength_format.format(strength) for strength in one.strengths}) == len(one.strengths)
    assert one.title and one.description.endswith(".")


@pytest.mark.parametrize("name", ["noise", "bias_field", "rotation", "motion_ghost"])
def test_what_is_drawn_differs_by_seed(name: str) -> None:
    strength = CORRUPTIONS[name].strengths[-1]
    assert not np.array_equal(
        apply_corruption(name, head(), strength, 1), apply_corruption(name, head(), strength, 2)
    )


def test_strengths_are_in_the_units_they_are_told_in() -> None:
    flat = np.full((201, 201), 100, dtype=np.uint8)
    assert apply_corruption("noise", flat, 10, 0).std() == pytest.approx(25.5, rel=0.05)
    assert (apply_corruption("darker", flat, 2, 0) == round(100**2 / 255)).all()
    point = np.zeros((201, 201), dtype=np.uint8)
    point[100, 100] = 255
    spread = apply_corruption("blur", np.kron(point, np.ones((1, 1), np.uint8)), 0.5, 0)  # sd of 1 pixel
    assert spread[100, 100] == pytest.approx(255 / (2 * np.pi), rel=0.1)
    y, x = np.mgrid[-100:101, -100:101] / 100
    field = bias_field(flat, 50, 4)[x**2 + y**2 <= 1] / 100
    assert field.max() / field.min() == pytest.approx(1.5, rel=0.03)
    assert field.max() * field.min() == pytest.approx(1, rel=0.03)
    line = np.zeros((201, 201), dtype=np.uint8)
    line[100, 150:190] = 255
    turned = np.argwhere(apply_corruption("rotation", line, 30, 1) > 100).mean(axis=0) - 100
    assert abs(np.degrees(np.arctan2(turned[0], turned[1]))) == pytest.approx(30, abs=1)
    small = apply_corruption("downsampling", head(), 32, 0)
    assert len(np.unique(np.diff(small[SIDE // 2].astype(int)))) < len(np.unique(np.diff(head()[SIDE // 2])))
    tiny = head()[:30, :30]
    assert np.array_equal(apply_corruption("downsampling", tiny, 32, 0), tiny)


def test_ghosts_are_copies_a_quarter_apart() -> None:
    pixels = np.zeros((160, 160), dtype=np.uint8)
    pixels[70:90, 70:90] = 200
    found = apply_corruption("motion_ghost", pixels, 1, 0).astype(int)  # along the rows
    assert found[[80, 120, 159], 80].tolist()[0] > 100
    away = found.copy()
    away[:, 70:90] = 0
    assert away.max() < 60


def test_noise_of_a_grey_slice_in_colours_is_grey() -> None:
    """Or averaging the colours would take a part of it away."""
    pixels = np.repeat(head()[..., None], 3, axis=2)
    for name in ("noise", "bias_field"):
        found = apply_corruption(name, pixels, 20, 0)
        assert np.array_equal(found[..., 0], apply_corruption(name, pixels[..., 0], 20, 0))
        assert (found == found[..., :1]).all()


def test_unknown_disturbances_list_the_choices() -> None:
    with pytest.raises(GliascopeError, match="unknown corruption 'fog'; choose from noise, blur"):
        apply_corruption("fog", head(), 1, 0)
