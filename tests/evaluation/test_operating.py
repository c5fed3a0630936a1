import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python
from scipy.stats import norm

from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.scores import Scores

CLASSES = ("glioma", "no_tumor", "pituitary")


def told(tumour: list[float], healthy: list[float]) -> Scores:
    """Slices of a glioma and of no tumour, by the probability of any tumour, spread over both kinds."""
    score = np.array(tumour + healthy)
    probabilities = np.stack([0.7 * score, 1 - score, 0.3 * score], axis=1)
    labels = np.array([0] * len(tumour) + [1] * len(healthy))
    return Scores(probabilities, labels, np.arange(len(score)), CLASSES)


def test_the_best_of_one_rate_where_the_other_is_held() -> None:
    healthy = [number / 100 for number in range(40)]  # 0 to 0.39: two of 40 may be above
    scores = told([0.9, 0.8, 0.38, 0.37, 0.2], healthy)
    points = operating_points(scores, resamples=200)
    assert points is not None
    found = points.specificity
    # From 0.38 on two healthy slices are called tumours, 5 %; from 0.37 on three.
    assert found.value.value == pytest.approx(3 / 5)
    assert found.threshold == pytest.approx(0.38)
    assert found.value.low < 3 / 5 < found.value.high
    reverse = points.sensitivity
    # 95 % of five tumours is all five; from 0.2 on, 20 of 40 healthy slices are called tumours.
    assert reverse.value.value == pytest.approx(0.5)
    assert reverse.threshold == pytest.approx(0.2)
    assert found.chosen is None
    json.dumps(to_jsonable_python(points), allow_nan=False)


def test_a_threshold_chosen_on_validation_is_applied_as_it_is() -> None:
    validation = told([0.9, 0.6], [number / 100 for number in range(20)])
    test = told([0.9, 0.65, 0.5, 0.1], [0.7, 0.2, 0.1, 0.05])
    points = operating_points(test, validation, resamples=200)
    assert points is not None
    chosen = points.sensitivity.chosen
    assert chosen.threshold == pytest.approx(0.6)
    assert chosen.sensitivity.value == 2 / 4
    assert chosen.specificity.value == 3 / 4
    # One of twenty may be called a tumour at 95 %.
    chosen = points.specificity.chosen
    assert chosen.threshold == pytest.approx(0.19)
    assert (chosen.sensitivity.value, chosen.specificity.value) == (3 / 4, 2 / 4)


def test_a_score_that_cannot_hold_the_rate_finds_nothing() -> None:
    points = operating_points(told([0.5, 0.4], [0.9, 0.8]), resamples=50)
    assert points is not None
    assert points.specificity.value.value == 0
    assert points.specificity.threshold > 0.9
    assert points.sensitivity.value.value == 0


def test_without_two_sides_there_is_no_such_point() -> None:
    probabilities = np.full((6, 2), 0.5)
    kinds = Scores(probabilities, np.arange(6) % 2, np.arange(6), ("glioma", "pituitary"))
    one_side = Scores(probabilities, np.zeros(6, int), np.arange(6), ("no_tumor", "tumor"))
    assert operating_points(kinds) is None
    assert operating_points(one_side) is None
    both = told([0.9, 0.8], [0.1, 0.2])
    points = operating_points(both, one_side_of(both), resamples=50)
    assert points is not None
    assert points.specificity.chosen is None


def one_side_of(scores: Scores) -> Scores:
    return scores.select(scores.labels == 1)


def test_perfect_separation_keeps_an_interval() -> None:
    points = operating_points(told([0.9] * 30, [0.1] * 20), resamples=100)
    assert points is not None
    value = points.specificity.value
    assert (value.value, value.high) == (1, 1)
    assert 0.8 < value.low < 0.9  # 20 groups, of which none errs


@pytest.mark.parametrize(("distance", "size"), [(2.0, 80), (3.3, 60)])
def test_intervals_hold_the_truth_in_grouped_data(distance: float, size: int) -> None:
    """Binormal scores, correlated within groups of three; what a threshold on endless data would find."""
    rng = np.random.default_rng(0)
    truth = norm.sf(norm.isf(0.05) - distance)
    inside = 0
    for _ in range(100):
        shared = np.repeat(rng.normal(0, 0.7**0.5, (2, size)), 3, axis=1)
        values = shared + rng.normal(0, 0.3**0.5, shared.shape) + [[distance], [0]]
        score = 1 / (1 + np.exp(-values.ravel()))
        labels = np.repeat([1, 0], 3 * size)
        groups = np.repeat(np.arange(2 * size), 3)
        scores = Scores(np.stack([1 - score, score], axis=1), labels, groups, ("no_tumor", "tumor"))
        points = operating_points(scores, resamples=200)
        assert points is not None
        value = points.specificity.value
        inside += value.low <= truth <= value.high
    assert 0.93 <= inside / 100 <= 1
