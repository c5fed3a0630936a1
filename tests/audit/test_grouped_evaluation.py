import numpy as np
import pytest

from gliascope.audit.grouped_evaluation import balanced_accuracy, group_folds


def test_folds_keep_groups_whole_and_classes_even() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 80, 400)
    labels = groups % 3
    fold = group_folds(labels, groups, 0)
    assert fold is not None
    assert set(fold) == {0, 1, 2, 3, 4}
    for group in range(80):
        assert len(set(fold[groups == group])) == 1
    for label in range(3):
        share = np.bincount(fold[labels == label]) / (labels == label).sum()
        assert share.max() < 0.3


def test_too_few_groups_make_fewer_folds_or_none() -> None:
    three = group_folds(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 4, 5]), 0)
    assert three is not None
    assert set(three) == {0, 1, 2}
    assert group_folds(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]), 0) is None
    assert group_folds(np.zeros(4, np.int64), np.arange(4), 0) is None


@pytest.mark.parametrize("recalls", [(0.9, 0.6), (0.75, 0.75)])
def test_intervals_cover_their_share_of_simulated_data(recalls: tuple[float, float]) -> None:
    random = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        # 60 groups of two slices that are right or wrong together.
        truth = np.repeat(np.arange(60) % 2, 2)
        right = np.repeat(random.random(60) < np.array(recalls)[np.arange(60) % 2], 2)
        made = balanced_accuracy(truth, np.where(right, truth, 1 - truth), np.repeat(np.arange(60), 2), seed)
        assert None not in (made.low, made.high)
        covered += made.low <= np.mean(recalls) <= made.high  # type: ignore[operator]
    assert 88 <= covered <= 99


def test_perfection_has_a_width_and_one_group_shows_no_spread() -> None:
    truth = np.array([0, 0, 0, 1, 1])
    perfect = balanced_accuracy(truth, truth, np.arange(5), 0)
    assert perfect.model_dump() == {"value": 1, "low": pytest.approx(0.025**0.5), "high": 1}
    wrong = balanced_accuracy(truth, 1 - truth, np.arange(5), 0)
    assert wrong.model_dump() == {"value": 0, "low": 0, "high": pytest.approx(1 - 0.025**0.5)}
    single = balanced_accuracy(truth, truth, np.array([0, 1, 2, 3, 3]), 0)
    assert single.model_dump() == {"value": 1, "low": None, "high": None}
