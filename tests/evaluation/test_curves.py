import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

from gliascope.evaluation.curves import MAX_POINTS, _areas, counts_by_threshold, evaluate_curves
from gliascope.evaluation.scores import Scores


def simulated(n: int = 300, classes: int = 3, seed: int = 0, rounded: bool = False) -> Scores:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    if rounded:  # many ties
        probabilities = np.round(probabilities * 8)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Scores(probabilities, labels, np.arange(n) // 3, tuple("abc"[:classes]))


@pytest.mark.parametrize("rounded", [False, True])
def test_areas_under_the_points_are_those_of_scikit_learn(rounded: bool) -> None:
    scores = simulated(rounded=rounded)
    found = evaluate_curves(scores, resamples=100)
    json.dumps(to_jsonable_python(found), allow_nan=False)
    for index, (label, entry) in enumerate(found.items()):
        positive, score = scores.labels == index, scores.probabilities[:, index]
        roc = np.array(entry.roc)
        assert label == scores.classes[index]
        assert roc[0].tolist() == [0, 0]
        assert roc[-1].tolist() == [1, 1]
        assert auc(*roc.T) == pytest.approx(roc_auc_score(positive, score), abs=1e-4)
        recall, precision = np.array(entry.precision_recall).T
        assert (np.diff(recall) >= 0).all()
        steps = (np.diff(recall) * precision[1:]).sum()
        average = entry.average_precision
        assert steps == pytest.approx(average.value, abs=2e-3)
        assert average.value == pytest.approx(average_precision_score(positive, score))
        assert average.low < average.value < average.high
        assert entry.prevalence == positive.mean()


def test_weights_count_as_scikit_learn_counts_them() -> None:
    scores = simulated(n=80, rounded=True)
    positive, score = scores.labels == 1, scores.probabilities[:, 1]
    weights = np.random.default_rng(1).integers(1, 5, (5, 80)).astype(float)
    up, down = counts_by_threshold(score, positive, weights)
    for number, row in enumerate(weights):
        false_positive_rate, recall, thresholds = roc_curve(
            positive, score, sample_weight=row, drop_intermediate=False
        )
        assert np.allclose(thresholds[1:], np.unique(score)[::-1])
        assert np.allclose(up[number] / up[number, -1], recall[1:])
        assert np.allclose(down[number] / down[number, -1], false_positive_rate[1:])
        expected = average_precision_score(positive, score, sample_weight=row)
        assert _areas(up, down)[number] == pytest.approx(expected)


def test_a_class_without_a_side_is_left_out_and_perfection_has_an_interval() -> None:
    probabilities = np.tile([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05]], (20, 1))
    found = evaluate_curves(Scores(probabilities, np.arange(40) % 2, np.arange(40) // 2, "abc"), 100)
    assert set(found) == {"a", "b"}
    average = found["a"].average_precision
    assert (average.value, average.high) == (1, 1)
    assert average.low == pytest.approx(0.832, abs=1e-3)  # exact, 20 groups of which none errs


def test_long_curves_are_thinned() -> None:
    entry = evaluate_curves(simulated(n=4000), resamples=20)["b"]
    assert len(entry.roc) == len(entry.precision_recall) == MAX_POINTS
    assert entry.roc[-1] == (1, 1)
    assert entry.precision_recall[-1][0] == 1
