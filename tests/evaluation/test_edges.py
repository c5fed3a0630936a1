"""Every number at the edges: intervals hold the value, have a width, stay in bounds, and JSON can hold them."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic_core import to_jsonable_python

from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.comparison import mean_paired_difference
from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.intervals import clopper_pearson, error_interval, group_draws, share_interval
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.untested import find_untested
from gliascope.evaluation.verdicts import evaluate_verdicts

CLASSES = ("glioma", "no_tumor", "pituitary")
HIGHEST = {"brier": 2.0, "nll": 36.1, "size": 3.0}


def told(labels: list[int], said: list[int], groups: Any, confidence: float = 1.0) -> Scores:
    probabilities = np.full((len(labels), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(labels)), said] = confidence
    return Scores(probabilities, np.array(labels), np.array(groups), CLASSES)


def varied(labels: list[int], groups: Any, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    odds = np.exp(rng.normal(size=(len(labels), 3)) + 2 * np.eye(3)[labels])
    return Scores(odds / odds.sum(axis=1, keepdims=True), np.array(labels), np.array(groups), CLASSES)


THIRTY = [number % 3 for number in range(30)]
EDGES = {
    "one slice": told([0], [0], [0]),
    "one slice, wrong": told([0], [1], [0]),
    "one group": told(THIRTY, THIRTY, [0] * 30),
    "two groups": told(THIRTY, THIRTY, [0, 1] * 15),
    "two slices": told([0, 1], [0, 0], [0, 1]),
    "all right and sure": told(THIRTY, THIRTY, range(30)),
    "all right, 0.9": told(THIRTY, THIRTY, range(30), 0.9),
    "all wrong and sure": told(THIRTY, [(one + 1) % 3 for one in THIRTY], range(30)),
    "one class": told([1] * 12, [1] * 11 + [0], range(12)),
    "an absent class": varied([0, 1] * 20, range(40)),
    "a class of one slice": varied([0, 1] * 20 + [2], range(41)),
    "a class of one group": varied([0, 1] * 20 + [2] * 6, [*range(40), *[40] * 6]),
    "a class of two groups": varied([0, 1] * 20 + [2] * 6, [*range(40), *[40, 41] * 3]),
    "right and wrong in turn": told([0, 1] * 20, [0, 0] * 20, np.repeat(range(20), 2)),
    "undecided": told(THIRTY, [0] * 30, range(30), 1 / 3),
}


def numbers(tree: Any, name: str = "") -> Iterator[tuple[str, dict[str, float | None]]]:
    """Every {value, low, high} of a tree, and its key."""
    if isinstance(tree, dict):
        if {"value", "low", "high"} == set(tree):
            yield name, tree
        else:
            for key, entry in tree.items():
                yield from numbers(entry, key if isinstance(key, str) else name)
    elif isinstance(tree, list):
        for entry in tree:
            yield from numbers(entry, name)


@pytest.mark.parametrize("edge", EDGES)
def test_intervals_hold_the_value_have_a_width_and_stay_in_bounds(edge: str) -> None:
    scores = EDGES[edge]
    result = evaluate_scores(scores, 200)
    calibration = evaluate_calibration(scores, 200)
    by_chance = calibration.ece_by_chance  # of exact probabilities there is none, by construction
    tree = [
        result,
        calibration.model_dump(exclude={"ece_by_chance"}),
        evaluate_curves(scores, 200),
        operating_points(scores, None, 200),
        evaluate_sets(scores, scores.probabilities >= 0.5, 200),
        evaluate_verdicts(scores, ["accepted"] * len(scores), ("accepted", "uncertain"), resamples=200),
        reliability(scores),
        find_untested(scores, result),
    ]
    tree = to_jsonable_python(tree)
    json.dumps([tree, by_chance.model_dump()], allow_nan=False)
    seen = 0
    for name, number in numbers(tree):
        value, low, high = number["value"], number["low"], number["high"]
        if value is None or low is None or high is None:
            assert low is None and high is None, name
            continue
        seen += 1
        assert 0 <= low <= value <= high <= HIGHEST.get(name, 1.0) + 1e-9, (name, number)
        assert high - low > 1e-3, (name, number)
    assert seen or scores.group_count == 1


def test_a_model_that_is_sure_and_right_may_still_err_on_slices_that_were_not_seen() -> None:
    """C10: an ECE interval of zero width. 3.7 errors in so many groups are not ruled out."""
    scores = told(THIRTY, THIRTY, range(30))
    unseen = 1 - clopper_pearson(30, 30)[0]
    for found in (evaluate_scores(scores, 200), evaluate_calibration(scores, 200)):
        assert (found.ece.value, found.ece.low) == (0, 0) and found.ece.high == pytest.approx(unseen)
        assert found.brier.high == pytest.approx(2 * unseen)
    # As little is known where confidences differ a little: resamples then vary, but show no error.
    rng = np.random.default_rng(0)
    sure = 1 - 1e-3 * rng.random(30)
    probabilities = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
    probabilities[np.arange(30), THIRTY] = sure
    found = evaluate_scores(Scores(probabilities, np.array(THIRTY), np.arange(30), CLASSES), 200)
    assert found.ece.low == 0
    assert found.ece.high > unseen


def test_macro_auroc_is_as_wide_as_the_bootstrap_says() -> None:
    """C10: a class of two groups made 0.160-0.819 of a standard deviation of 0.026."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [600, 600, 40])
    groups = np.concatenate([np.arange(1200) // 4, [300] * 20, [301] * 20])
    probabilities = rng.dirichlet([1, 1, 1], 1240)
    scores = Scores(probabilities, labels, groups, CLASSES)
    from gliascope.evaluation.replicates import resample_metrics

    spread = resample_metrics(scores, 1000, 0)["macro_auroc"].std()
    found = evaluate_scores(scores, 1000).macro_auroc
    width = found.high - found.low
    assert 3 * spread < width < 7 * spread
    assert found.low < 0.5 < found.high


def test_slices_that_err_in_turn_are_no_more_slices() -> None:
    """A8: an effective sample size beyond the number of slices."""
    right = np.tile([1.0, 0.0], 50)
    right[1] = 1
    codes = np.repeat(np.arange(50), 2)
    sums = np.bincount(codes, right)
    samples = np.concatenate([draws @ sums for draws in group_draws(50, 100, 1000, 0)]) / 100
    value = float(right.mean())
    assert share_interval(value, samples, 50, 100) == clopper_pearson(value * 100, 100)
    labels = np.zeros(100, dtype=int)
    scores = told(labels.tolist(), (1 - right).astype(int).tolist(), codes)
    found = evaluate_scores(scores, 1000).accuracy
    assert (found.low, found.high) == pytest.approx(clopper_pearson(51, 100))
    # Nor is it less than one slice.
    assert share_interval(0.5, np.tile([0.0, 1.0], 500), 2, 4) == clopper_pearson(0.5, 1)


def test_a_difference_that_no_slice_shows_is_not_ruled_out() -> None:
    scores = told(THIRTY, THIRTY, range(30))
    found = mean_paired_difference(scores, np.zeros(30), 200)
    assert found.low == pytest.approx(-0.1157, abs=1e-3)
    assert found.high == pytest.approx(0.1157, abs=1e-3)


def test_error_intervals_start_at_zero_where_chance_shows_as_much() -> None:
    samples, chance = np.linspace(0.04, 0.06, 1000), np.linspace(0.02, 0.05, 1000)
    assert error_interval(0.045, samples, 100, chance=chance) == pytest.approx((0, 0.0595), abs=1e-3)
    low, _ = error_interval(0.08, samples + 0.04, 100, chance=chance) or (0, 0)
    assert low > 0.06


def test_patients_who_have_slices_of_every_class_count_once_in_macro_averages() -> None:
    """Ten volumes, told without a mistake, are ten successes of ten: not thirty of thirty."""
    found = evaluate_scores(told(THIRTY, THIRTY, np.repeat(range(10), 3)), 100)
    low = clopper_pearson(10, 10)[0]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc"):
        assert getattr(found, name).low == pytest.approx(low), name


def test_macro_averages_without_a_mistake_rest_on_every_class() -> None:
    """C10: as if each had as few groups as the smallest, not on the smallest alone."""
    labels = [0] * 20 + [1] * 20 + [2] * 2
    found = evaluate_scores(told(labels, labels, range(42)), 100)
    for name in ("balanced_accuracy", "macro_f1", "macro_auroc"):
        assert getattr(found, name).low == pytest.approx(clopper_pearson(6, 6)[0]), name
