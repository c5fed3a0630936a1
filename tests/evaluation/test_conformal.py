import numpy as np
import pytest

from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.scores import Scores

CLASSES = ("a", "b", "c", "d")


def test_numbers_of_sets() -> None:
    labels, groups = np.array([0, 0, 1, 2]), np.array([0, 0, 1, 2])
    scores = Scores(np.full((4, 4), 0.25), labels, groups, CLASSES)
    sets = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    found = evaluate_sets(scores, sets, 100)
    assert found.coverage.value == pytest.approx((0.5 + 1 + 0) / 3)  # the group of two counts once
    assert found.of_slices == 0.5
    assert found.per_class == {"a": 0.5, "b": 1.0, "c": 0.0, "d": None}
    assert found.size.value == 1
    assert found.sizes == (1, 2, 1, 0, 0)
    assert found.coverage.low < 0.5 < found.coverage.high


def test_sets_of_all_classes_cover_everything() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 50)
    scores = Scores(np.full((50, 4), 0.25), labels, np.arange(50) // 2, CLASSES)
    found = evaluate_sets(scores, np.ones((50, 4), dtype=bool), 50)
    assert found.coverage.value == 1
    assert found.size.value == 4
