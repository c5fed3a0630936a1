import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python
from sklearn import metrics as sk

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.intervals import clopper_pearson
from gliascope.evaluation.metrics import Metrics, Scores, confident_mistakes, evaluate_scores
from gliascope.evaluation.reliability import ReliabilityBin, reliability
from gliascope.evaluation.replicates import resample_metrics, weighted_auroc

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece", "brier")


def simulate(n=400, classes=4, skill=2.0, seed=0, groups=None) -> Scores:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    odds = np.exp(logits)
    names = CLASSES[:classes]
    groups = np.arange(n) if groups is None else groups
    return Scores(odds / odds.sum(axis=1, keepdims=True), labels, groups, names)


def certain(labels, predictions, classes=CLASSES, groups=None, confidence=0.97) -> Scores:
    """Scores that predict `predictions` with one confidence."""
    n, count = len(labels), len(classes)
    probabilities = np.full((n, count), (1 - confidence) / (count - 1))
    probabilities[np.arange(n), predictions] = confidence
    return Scores(probabilities, np.array(labels), np.arange(n) if groups is None else groups, classes)


def test_numbers_worked_out_by_hand():
    probabilities = [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]]
    scores = Scores(np.array(probabilities), np.array([0, 0, 1, 2]), np.arange(4), ("a", "b", "c"))
    result = evaluate_scores(scores, resamples=50)
    assert result.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 1))
    assert result.accuracy.value == 0.75
    assert result.balanced_accuracy.value == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert result.macro_f1.value == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert result.per_class["a"].recall.value == 0.5
    assert result.per_class["a"].precision.value == 1
    assert result.per_class["b"].precision.value == 0.5
    assert result.per_class["b"].specificity.value == pytest.approx(2 / 3)
    assert result.per_class["a"].auroc.value == 1
    assert result.per_class["a"].support == 2
    # Squared distances to the one-hot truth: .14, .62, .06, .26.
    assert result.brier.value == pytest.approx((0.14 + 0.62 + 0.06 + 0.26) / 4)
    # Four confidences in four bins: gaps .3, .5 (wrong), .2, .4.
    assert result.ece.value == pytest.approx((0.3 + 0.5 + 0.2 + 0.4) / 4)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_values_are_those_of_scikit_learn(classes):
    scores = simulate(classes=classes)
    result = evaluate_scores(scores, resamples=20)
    y, p, s = scores.labels, scores.predictions, scores.probabilities
    assert result.accuracy.value == pytest.approx(sk.accuracy_score(y, p))
    assert result.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(y, p))
    assert result.macro_f1.value == pytest.approx(sk.f1_score(y, p, average="macro"))
    auroc = sk.roc_auc_score(y, s[:, 1]) if classes == 2 else sk.roc_auc_score(y, s, multi_class="ovr")
    assert result.macro_auroc.value == pytest.approx(auroc)
    assert np.array_equal(result.confusion, sk.confusion_matrix(y, p))
    for index, name in enumerate(scores.classes):
        entry = result.per_class[name]
        assert entry.recall.value == pytest.approx(sk.recall_score(y == index, p == index))
        assert entry.specificity.value == pytest.approx(sk.recall_score(y != index, p != index))


def test_binary_brier_is_twice_the_common_form():
    scores = simulate(classes=2)
    half = sk.brier_score_loss(scores.labels, scores.probabilities[:, 1])
    assert evaluate_scores(scores, resamples=20).brier.value == pytest.approx(2 * half)


def test_resampled_numbers_are_the_numbers_of_the_resampled_slices():
    """The fast path (sums per group, one matrix product, weighted ranks) against the slow and obvious one."""
    groups = np.repeat(np.arange(40), 3)
    scores = simulate(n=120, skill=1.0, groups=groups)
    fast = resample_metrics(scores, resamples=8, seed=5)
    from gliascope.evaluation.intervals import group_draws

    (draws,) = group_draws(40, 120, 8, seed=5)
    for index, draw in enumerate(draws):
        rows = np.repeat(np.arange(120), draw[groups].astype(int))
        slow = evaluate_scores(
            Scores(scores.probabilities[rows], scores.labels[rows], groups[rows], CLASSES), resamples=2
        )
        for name in HEADLINES:
            assert fast[name][index] == pytest.approx(getattr(slow, name).value, abs=1e-12), name
        for name in ("precision", "recall", "f1", "specificity", "auroc"):
            expected = [getattr(slow.per_class[label], name).value for label in CLASSES]
            assert fast[name][index] == pytest.approx(expected, abs=1e-12), name


def test_weighted_auroc_with_ties_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    score = rng.integers(6, size=200) / 5
    positive = rng.random(200) < 0.3 + 0.4 * score
    weights = rng.integers(4, size=(5, 200)).astype(float)
    expected = [sk.roc_auc_score(positive, score, sample_weight=weight) for weight in weights]
    assert weighted_auroc(score, positive, weights) == pytest.approx(expected)


def test_keys_and_json():
    result = evaluate_scores(simulate(), resamples=50)
    written = result.model_dump(mode="json")
    assert set(written) == {"n", "groups", "classes", "per_class", "confusion", *HEADLINES}
    assert set(result.per_class) == set(CLASSES)
    for entry in written["per_class"].values():
        assert set(entry) == {"support", "precision", "recall", "f1", "specificity", "auroc"}
    for name in HEADLINES:
        assert set(written[name]) == {"value", "low", "high"}
        assert 0 <= getattr(result, name).low < getattr(result, name).value < getattr(result, name).high <= 1
    assert Metrics.model_validate_json(json.dumps(written, allow_nan=False)) == result


def test_an_absent_class_is_none_and_the_rest_stands():
    scores = certain([0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [0, 0, 1, 1, 1, 1, 2, 2, 2, 0])
    result = evaluate_scores(scores, resamples=50)
    absent = result.per_class["pituitary"]
    undefined = Estimate(value=None, low=None, high=None)
    assert absent.support == 0
    assert absent.recall == absent.precision == absent.auroc == absent.f1 == undefined
    assert absent.specificity.value == 1
    assert result.balanced_accuracy.value == pytest.approx((2 / 3 + 1 + 3 / 4) / 3)
    assert result.macro_auroc.value is not None


def test_an_absent_class_that_is_predicted_costs_others_and_is_in_no_average():
    result = evaluate_scores(certain([0, 0, 1, 1], [0, 2, 1, 1], CLASSES[:3]), resamples=50)
    assert result.per_class["notumor"].f1.value is None
    assert result.per_class["notumor"].precision.value == 0
    assert result.macro_f1.value == pytest.approx((2 / 3 + 1) / 2)
    assert result.balanced_accuracy.value == pytest.approx(0.75)


def test_one_class_only_is_not_an_exception():
    result = evaluate_scores(certain([1] * 12, [1] * 11 + [0]), resamples=50)
    assert result.macro_auroc.value is None
    assert result.accuracy.value == pytest.approx(11 / 12)
    assert result.per_class["meningioma"].specificity.value is None
    json.dumps(to_jsonable_python(result), allow_nan=False)


def test_no_error_at_all_gives_the_exact_bound_of_the_groups():
    labels = np.arange(200) % 4
    result = evaluate_scores(certain(labels, labels), resamples=50)
    assert result.accuracy == Estimate(value=1.0, low=clopper_pearson(200, 200)[0], high=1.0)
    assert result.accuracy.low == pytest.approx(0.9817, abs=1e-4)
    # Balanced classes: a macro average is as sure as accuracy; one class, as its 50 slices.
    assert result.balanced_accuracy == result.accuracy
    assert result.per_class["glioma"].recall.low == pytest.approx(0.9289, abs=1e-4)
    assert result.per_class["glioma"].auroc.low == pytest.approx(0.9289, abs=1e-4)
    copies = evaluate_scores(certain(labels, labels, groups=np.arange(200) // 4), resamples=50)
    assert copies.accuracy.low == clopper_pearson(50, 50)[0]


def test_one_group_has_a_value_and_no_interval():
    result = evaluate_scores(certain([0, 1, 2, 3], [0, 1, 2, 0], groups=np.zeros(4, int)), resamples=50)
    for name in HEADLINES:
        assert getattr(result, name).value is not None
        assert getattr(result, name).low is getattr(result, name).high is None


def test_the_seed_alone_decides():
    scores = simulate()
    assert evaluate_scores(scores, 100, seed=1) == evaluate_scores(scores, 100, seed=1)
    assert evaluate_scores(scores, 100, seed=1) != evaluate_scores(scores, 100, seed=2)


def test_reliability_bins_add_up_to_ece():
    scores = simulate()
    rows = reliability(scores)
    assert len(rows) == 15
    assert sum(row.count for row in rows) == len(scores)
    filled = [row for row in rows if row.count]
    ece = sum(row.count * abs(row.accuracy.value - row.confidence) for row in filled) / len(scores)
    assert evaluate_scores(scores, resamples=20).ece.value == pytest.approx(ece)
    for row in filled:
        assert row.lower < row.confidence <= row.upper
        assert row.accuracy.low <= row.accuracy.value <= row.accuracy.high
    nothing = Estimate(value=None, low=None, high=None)
    assert rows[0] == ReliabilityBin(lower=0.0, upper=1 / 15, count=0, confidence=None, accuracy=nothing)


def test_certainty_falls_into_the_last_bin():
    rows = reliability(certain([0, 1], [0, 0], confidence=1.0), bins=10)
    assert rows[-1].count == 2
    assert rows[-1].accuracy.value == 0.5


def test_confident_mistakes_come_most_confident_first_and_one_of_a_group():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.99, 0.01]])
    scores = Scores(probabilities, np.array([1, 1, 1, 1, 0]), np.array(["a", "b", "c", "b", "d"]), "ab")
    assert confident_mistakes(scores, 10).tolist() == [3, 2, 0]
    assert confident_mistakes(scores, 2).tolist() == [3, 2]
    assert confident_mistakes(certain([0, 1], [0, 1]), 5).tolist() == []
