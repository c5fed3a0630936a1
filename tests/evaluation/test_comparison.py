import numpy as np
import pytest

from gliascope.evaluation.comparison import (
    accuracy_gain,
    compare_scores,
    holm_correction,
    mcnemar_test,
    sign_flip_test,
)
from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.scores import Scores

CLASSES = ("glioma", "no_tumor")


def scores(right, labels, groups=None, classes=CLASSES) -> Scores:
    """Scores that are right where told, by a confidence of 0.9."""
    right, labels = np.asarray(right, bool), np.asarray(labels)
    said = np.where(right, labels, 1 - labels)
    probabilities = np.full((len(labels), 2), 0.1)
    probabilities[np.arange(len(labels)), said] = 0.9
    return Scores(probabilities, labels, np.arange(len(labels)) if groups is None else groups, classes)


def answers(both: int, first: int, second: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Who is right, of two classifiers."""
    counts = (both, first, second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    # By hand: 2 * sum of binomial(n, k) for k up to the smaller, over 2**n.
    [(15, 5, 43_400 / 2**20), (5, 15, 43_400 / 2**20), (6, 0, 2 / 64), (4, 4, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_of_the_discordant_pairs(first, second, p):
    assert mcnemar_test(*answers(50, first, second, 7)) == (first, second, pytest.approx(p))


def test_holm_steps_down_and_keeps_the_order():
    assert holm_correction([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_correction([0.9, 0.8]) == [1.0, 1.0]
    assert holm_correction([0.2]) == [0.2]
    assert holm_correction([]) == []


def test_the_test_by_groups_is_mcnemars_where_groups_are_slices():
    first, second = answers(30, 14, 5)
    assert sign_flip_test(first.astype(float) - second) == pytest.approx(
        mcnemar_test(first, second)[2], abs=0.015
    )
    assert sign_flip_test(np.zeros(9)) == 1.0


def test_copies_add_certainty_to_mcnemar_but_none_by_groups():
    first, second = answers(30, 9, 3)
    once = {"a": (first, np.arange(42)), "b": (second, np.arange(42))}
    copied = {name: (np.tile(right, 8), np.tile(groups, 8)) for name, (right, groups) in once.items()}
    p = {}
    for name, runs in (("once", once), ("copied", copied)):
        made = {
            key: scores(right, np.zeros(len(right), int), groups) for key, (right, groups) in runs.items()
        }
        p[name] = compare_scores(made, 50)[1].against_best
    assert p["copied"].p < 0.001
    assert p["once"].p > 0.1
    assert p["copied"].p_groups == p["once"].p_groups > 0.1


def test_runs_are_set_against_the_most_accurate_and_corrected_for_their_number():
    labels = np.tile([0, 1], 50)
    good, bad, worse = np.ones(100, bool), np.ones(100, bool), np.ones(100, bool)
    bad[:12], worse[:30] = False, False
    good[99] = False
    rows = compare_scores(
        {"worse": scores(worse, labels), "good": scores(good, labels), "bad": scores(bad, labels)}, 50
    )
    assert [row.name for row in rows] == ["good", "bad", "worse"]
    assert [row.result.accuracy.value for row in rows] == [0.99, 0.88, 0.7]
    assert rows[0].against_best is None
    against = rows[1].against_best
    assert (against.best_only, against.this_only) == (12, 1)
    assert against.p == pytest.approx(mcnemar_test(good, bad)[2])
    smallest = rows[2].against_best
    assert smallest.p_holm == pytest.approx(2 * smallest.p)
    assert against.p_holm == pytest.approx(against.p)


def test_under_the_null_few_differences_are_called_significant():
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(300):
        right = rng.random((2, 120)) < 0.8
        found += mcnemar_test(*right)[2] < 0.05
    assert found / 300 < 0.06


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (scores([1, 1], [0, 1], classes=("no", "yes")), "classes"),
        (scores([1, 1], [1, 0]), "labels"),
        (scores([1, 1], [0, 1], groups=np.array([3, 3])), "group"),
        (scores([1, 1, 1], [0, 1, 1]), "labels"),
    ],
)
def test_what_is_not_paired_is_refused(other, message):
    with pytest.raises(ValueError, match=f"expected b to have the {message}.* of a but"):
        compare_scores({"a": scores([1, 1], [0, 1]), "b": other})


def test_the_gain_over_members_is_the_difference_of_accuracies_with_an_interval_over_groups():
    labels = np.arange(400) % 2
    rng = np.random.default_rng(0)
    members = [scores(rng.random(400) < 0.8, labels) for _ in range(3)]
    found = accuracy_gain(scores(rng.random(400) < 0.9, labels), members)
    assert found.value == pytest.approx(0.1, abs=0.05)
    assert 0 < found.low < found.value < found.high
    # Ten slices of a patient go together: what is independent is less, and the interval wider.
    grouped = [
        scores(np.repeat(right[:40], 10), labels, np.arange(400) // 10)
        for right in (rng.random(400) < share for share in (0.9, 0.8, 0.8))
    ]
    wider = accuracy_gain(grouped[0], grouped[1:])
    assert wider.high - wider.low > 1.5 * (found.high - found.low)


def test_no_gain_over_oneself_and_no_interval_of_one_group():
    one = scores([True, False, True], [0, 1, 1])
    assert accuracy_gain(one, [one, one]) == Estimate(value=0.0, low=0.0, high=0.0)
    alone = scores([True, False, True], [0, 1, 1], np.zeros(3, int))
    assert accuracy_gain(alone, [alone]) == Estimate(value=0.0, low=None, high=None)
    with pytest.raises(ValueError, match="labels"):
        accuracy_gain(one, [scores([True, False, True], [1, 1, 1])])


def test_slices_that_are_tested_again_are_no_more_evidence() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2

    def answers(right: np.ndarray) -> Scores:
        said = np.where(right, labels, 1 - labels)
        return Scores(np.where(np.arange(2) == said[:, None], 0.9, 0.1), labels, np.arange(40), ("a", "b"))

    good, poor = answers(np.arange(40) >= 2), answers(rng.random(40) < 0.75)
    once = compare_scores({"good": good, "poor": poor}, 50)[1].against_best
    ten_times = {name: Scores.join([one] * 10) for name, one in (("good", good), ("poor", poor))}
    again = compare_scores(ten_times, 50)[1].against_best
    assert once.p == pytest.approx(once.p_groups, abs=0.02)
    assert again.p == again.p_groups == pytest.approx(once.p_groups, abs=1e-9)
