import numpy as np
import pytest

from gliascope.evaluation.perturbation import STEPS, perturbation_curves

SIDE = 56
LESION = np.zeros((SIDE, SIDE), dtype=bool)
LESION[10:22, 30:42] = True
NOISE = np.random.default_rng(0).integers(20, 60, (SIDE, SIDE))
PIXELS = np.where(LESION, 250, NOISE).astype(np.uint8)


def share_of_bright(pixels: np.ndarray) -> np.ndarray:
    """A model that sees lesion pixels at full brightness only."""
    grey = pixels if pixels.ndim == 3 else pixels[..., 0]
    return (grey[:, LESION] == 250).mean(axis=1)


@pytest.mark.parametrize("colour", [False, True])
def test_a_map_on_the_lesion_raises_and_lowers_the_answer_at_once(colour: bool) -> None:
    pixels = np.repeat(PIXELS[..., None], 3, axis=2) if colour else PIXELS
    good = perturbation_curves(pixels, LESION.astype(np.float32), share_of_bright)
    bad = perturbation_curves(pixels, -LESION.astype(np.float32), share_of_bright)
    assert good.insertion.shape == good.deletion.shape == (STEPS + 1,)
    assert good.insertion[0] == 0 and good.insertion[-1] == 1
    assert good.deletion[0] == 1 and good.deletion[-1] == 0
    # The lesion is 4.6 % of the pixels: less than one step of 16.
    assert good.insertion[1] == 1 and good.deletion[1] == 0
    assert bad.insertion[-2] < 0.01 and bad.deletion[-2] > 0.99
    assert good.areas["insertion"] == pytest.approx(31 / 32) and good.areas["deletion"] == pytest.approx(
        1 / 32
    )
    assert bad.areas["insertion"] < 0.04 and bad.areas["deletion"] > 0.96


def test_equal_places_come_in_a_random_order_that_is_always_the_same() -> None:
    flat = np.zeros((SIDE, SIDE), dtype=np.float32)
    first, second = (perturbation_curves(PIXELS, flat, share_of_bright) for _ in range(2))
    assert np.array_equal(first.insertion, second.insertion)
    assert first.areas["insertion"] == pytest.approx(0.5, abs=0.05)
    assert first.areas["deletion"] == pytest.approx(0.5, abs=0.05)


def test_insertion_starts_from_a_blur_without_edges() -> None:
    seen = []

    def remember(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return np.zeros(len(pixels))

    perturbation_curves(PIXELS, LESION.astype(np.float32), remember)
    insertion, deletion = seen
    assert insertion.dtype == deletion.dtype == np.uint8
    steps = [np.abs(np.diff(picture.astype(int), axis=1)).max() for picture in (PIXELS, insertion[0])]
    assert steps[1] < steps[0] / 5
    assert np.array_equal(insertion[-1], PIXELS) and np.array_equal(deletion[0], PIXELS)
    assert not deletion[-1].any()


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected `saliency` of shape"):
        perturbation_curves(PIXELS, np.zeros((7, 7), dtype=np.float32), share_of_bright)
