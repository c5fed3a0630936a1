import time

import numpy as np
import pytest
from heads import bordered, drawn_head, framed, reencoded, resized, with_text

from gliascope.dataset.scan import make_thumbnails
from gliascope.preprocessing.head import GRID_SIZE, head_box, moments_box
from gliascope.synthetic import LABELS, phantom

BOX = (40, 200, 50, 160)  # top, bottom, left, right


@pytest.fixture(scope="module")
def phantoms() -> list[np.ndarray]:
    return [phantom(label, seed).pixels for label in LABELS for seed in range(4)]


def whole(pixels: np.ndarray) -> tuple[int, ...]:
    return (0, pixels.shape[0], 0, pixels.shape[1])


def assert_near(found: tuple[float, ...], expected: tuple[float, ...], shape: tuple[int, ...]) -> None:
    """To within two cells of the grid, one for each picture compared."""
    cell = np.repeat(np.array(shape[:2]) / GRID_SIZE, 2)
    assert (np.abs(np.subtract(found, expected)) <= 2 * cell + 1).all(), (found, expected)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    def area(top: float, bottom: float, left: float, right: float) -> float:
        return max(0.0, bottom - top) * max(0.0, right - left)

    common = area(max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3]))
    return common / (area(*a) + area(*b) - common)


def moved(box: tuple[float, ...], down: float, across: float) -> tuple[float, ...]:
    return box[0] + down, box[1] + down, box[2] + across, box[3] + across


def test_the_scalp_bounds_the_head_and_nothing_of_it_is_cut() -> None:
    head = drawn_head()
    found = head_box(head)
    assert_near(found, BOX, head.shape)
    for axis, (low, high) in enumerate((found[:2], found[2:])):
        outside = np.delete(head, slice(low, high), axis=axis)
        assert outside.max() < 30


def hazy(pixels: np.ndarray) -> np.ndarray:
    """With the noise that magnitude MR images have in the air."""
    noise = np.random.default_rng(1).rayleigh(8, pixels.shape)
    return np.maximum(pixels, noise.clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize("change", [reencoded, with_text, hazy])
def test_noise_and_text_do_not_move_it(change) -> None:
    assert_near(head_box(change(drawn_head())), BOX, (240, 200))


@pytest.mark.parametrize("thickness", [1, 3, 10])
def test_a_bright_frame_does_not_count(thickness: int) -> None:
    head = framed(with_text(drawn_head()), thickness)
    assert_near(head_box(head), moved(BOX, thickness, thickness), head.shape)


def test_a_head_that_touches_the_frame_is_found() -> None:
    head = framed(drawn_head()[:120], 3)
    assert_near(head_box(head), (43, 123, 53, 163), head.shape)


def test_a_head_that_fills_the_slice_is_not_a_frame() -> None:
    pixels = np.random.default_rng(0).integers(140, 200, (100, 100), dtype=np.uint8)
    assert head_box(pixels) == whole(pixels)


@pytest.mark.parametrize("level", [60, 120, 255])
def test_on_a_background_that_is_not_black_it_is_the_whole_slice(level: int) -> None:
    head = drawn_head()
    lit = np.where(head < 30, level, head).astype(np.uint8)
    assert head_box(lit) == whole(lit)


@pytest.mark.parametrize("shape", [(50, 40), (1, 1), (1, 300), (300, 2)])
@pytest.mark.parametrize("level", [0, 200])
def test_one_colour_is_the_whole_slice(shape: tuple[int, int], level: int) -> None:
    blank = np.full(shape, level, dtype=np.uint8)
    assert head_box(blank) == whole(blank)
    if not level:
        assert moments_box(np.zeros((64, 64), np.uint8), *shape) == whole(blank)


def test_the_largest_part_is_found_as_scipy_finds_it() -> None:
    from scipy.ndimage import label

    from gliascope.preprocessing.head import _runs

    random = np.random.default_rng(0)
    for share in (0.1, 0.4, 0.6, 0.9):
        mask = random.random((70, 90)) < share
        row, start, end, part = _runs(mask)
        found = np.zeros(mask.shape, dtype=int)
        for r, s, e, p in zip(row, start, end, part, strict=True):
            found[r, s:e] = p + 1
        expected, count = label(mask)
        pairs = set(zip(expected.ravel().tolist(), found.ravel().tolist(), strict=True))
        assert len(pairs) == len({part for _, part in pairs}) == count + 1  # one to one


def test_disturbed_phantoms_keep_their_head(phantoms) -> None:
    for pixels in phantoms:
        box = head_box(pixels)
        assert (box[1] - box[0]) * (box[3] - box[2]) > 0.3 * pixels.size
        cases = [
            (reencoded(pixels), box),
            (with_text(pixels), box),
            (framed(pixels, 4), moved(box, 4, 4)),
            (bordered(pixels, 30, 10, 50, 5), moved(box, 30, 50)),
            (pixels[box[0] : box[1], box[2] : box[3]], moved(box, -box[0], -box[2])),
            ((pixels * 0.5).astype(np.uint8), box),
            (resized(pixels, 0.5), tuple(edge / 2 for edge in box)),
            (resized(pixels, 1.5), tuple(edge * 1.5 for edge in box)),
        ]
        overlaps = [overlap(head_box(disturbed), expected) for disturbed, expected in cases]
        assert min(overlaps) > 0.93, overlaps


def test_centre_and_spread_are_those_of_an_even_ellipse() -> None:
    y, x = np.mgrid[:240, :200] + 0.5
    ellipse = np.where(((y - 120) / 80) ** 2 + ((x - 105) / 55) ** 2 < 1, 200, 0).astype(np.uint8)
    small = np.frombuffer(make_thumbnails(ellipse)[0], np.uint8).reshape(64, 64)
    assert np.abs(np.subtract(moments_box(small, 240, 200), (40, 200, 50, 160))).max() < 1


def test_mass_box_follows_flips_and_turns() -> None:
    small = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    top, bottom, left, right = moments_box(small, 100, 100)
    assert moments_box(small[:, ::-1], 100, 100) == pytest.approx((top, bottom, 100 - right, 100 - left))
    assert moments_box(small.T, 100, 100) == pytest.approx((left, right, top, bottom))


def test_it_is_fast() -> None:
    """Milliseconds would show in `scan` and `predict`; a loop over pixels takes far longer."""
    for size, limit in ((240, 0.004), (512, 0.012)):
        head = resized(drawn_head(240, 240), size / 240)
        times = []
        for _ in range(20):
            started = time.thread_time()
            head_box(head)
            times.append(time.thread_time() - started)
        assert min(times) < limit
