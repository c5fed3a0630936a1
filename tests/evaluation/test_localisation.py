import numpy as np
import pytest

from gliascope.evaluation.localisation import (
    TOLERANCE,
    PeakPositions,
    centre_of_head,
    locate_peak,
    summarise_localisation,
)

SHAPE = (224, 200)


def at(row: int, column: int) -> np.ndarray:
    saliency = np.full(SHAPE, -1, dtype=np.float32)
    saliency[row, column] = 3
    return saliency


@pytest.fixture
def mask() -> np.ndarray:
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[50:80, 100:140] = True
    return lesion


def test_a_peak_in_the_lesion_is_a_hit_and_one_beside_it_is_as_far_as_it_is(mask: np.ndarray) -> None:
    assert locate_peak(at(50, 139), mask) == (0, 1)
    assert locate_peak(at(50, 142), mask) == (3 / 224, 0)
    assert locate_peak(at(47, 96), mask) == (5 / 224, 0)
    points = PeakPositions(np.array([0, 15 / 224, 16 / 224]), np.zeros(3))
    assert points.inside.tolist() == [True, False, False]
    assert points.hits.tolist() == [True, True, False]
    assert pytest.approx(15 / 224) == TOLERANCE


def test_energy_is_the_share_above_zero_in_the_lesion(mask: np.ndarray) -> None:
    saliency = np.where(mask, np.float32(1), np.float32(-5))
    saliency[:30, 0] = 10  # 300 against 1,200
    assert locate_peak(saliency, mask)[1] == pytest.approx(0.8)
    flat = np.ones(SHAPE, dtype=np.float32)
    assert locate_peak(flat, mask)[1] == pytest.approx(mask.mean())


def test_a_map_that_speaks_for_the_class_nowhere_points_nowhere(mask: np.ndarray) -> None:
    assert locate_peak(np.full(SHAPE, -1, dtype=np.float32), mask) == (float("inf"), 0)


def test_what_does_not_fit_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected `mask` of shape"):
        locate_peak(np.zeros((3, 3), dtype=np.float32), mask)
    with pytest.raises(ValueError, match="it is empty"):
        locate_peak(at(1, 1), np.zeros(SHAPE, dtype=bool))


def test_the_baseline_looks_at_the_centre_of_the_head() -> None:
    hill = centre_of_head(SHAPE, (20, 120, 60, 180))
    row, column = np.unravel_index(hill.argmax(), SHAPE)
    assert (row, column) in {(r, c) for r in (69, 70) for c in (119, 120)}
    assert hill[70, 150] == pytest.approx(np.exp(-0.5), abs=0.02)  # a quarter of the box's width to the right
    assert hill[95, 120] == pytest.approx(np.exp(-0.5), abs=0.02)


def test_methods_are_held_against_the_baseline_by_slices_and_by_patients() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    good = np.where(random.random(120) < 0.9, 0.0, 0.3)
    base = np.where(random.random(120) < 0.3, 0.0, 0.3)
    found = summarise_localisation(
        {"good": PeakPositions(good, good + 0.1), "none": PeakPositions(np.full(120, np.inf), np.zeros(120)),
         "base": PeakPositions(base, base)},
        "base", groups,
    )  # fmt: skip
    pointing = found["good"].pointing
    assert pointing.value == pytest.approx((good == 0).mean())
    assert pointing.low < pointing.value < pointing.high
    assert found["good"].against_baseline.method_only == int(((good == 0) & (base > 0)).sum())
    assert found["good"].against_baseline.p_groups < 0.001
    assert found["none"].empty_maps == 120 and found["none"].pointing.value == 0
    assert found["base"].against_baseline is None


def test_intervals_are_as_wide_as_patients_are_few() -> None:
    distance = np.repeat([0.0, 0.3, 0.0, 0.0], 30)
    points = {"one": PeakPositions(distance, distance), "base": PeakPositions(distance, distance)}
    slices, patients, one = (
        summarise_localisation(points, "base", groups)["one"].pointing
        for groups in (np.arange(120), np.repeat(np.arange(4), 30), np.zeros(120))
    )
    assert patients.low < slices.low < 0.75 < slices.high < patients.high
    assert one.model_dump() == {"value": pytest.approx(0.75), "low": None, "high": None}
