import numpy as np
import pytest
from sklearn.metrics import log_loss

from gliascope.evaluation.calibration import ece_by_chance, evaluate_calibration
from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores
from gliascope.uncertainty.temperature import fit_temperature, softmax

CLASSES = ("a", "b", "c")


def simulated(n: int, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times as sure as they should be, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, 3))
    labels = (logits + random.gumbel(size=(n, 3))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), labels


def test_calibrating_lowers_every_error_of_a_model_that_is_too_sure() -> None:
    logits, labels = simulated(3000, 1, 3.0)
    wrong = Scores(softmax(logits), labels, np.arange(3000), CLASSES)
    temperature = fit_temperature(*simulated(3000, 2, 3.0), 3000)
    right = Scores(softmax(logits / temperature), labels, np.arange(3000), CLASSES)
    before, after = (evaluate_calibration(scores, 200) for scores in (wrong, right))
    assert before.confidence > right.correct.mean() + 0.05
    assert after.confidence == pytest.approx(right.correct.mean(), abs=0.02)
    for key in ("ece", "adaptive_ece", "classwise_ece", "nll", "brier"):
        assert getattr(after, key).high < getattr(before, key).low, key
    assert (wrong.predictions == right.predictions).all()


def test_errors_are_what_their_definitions_say() -> None:
    """By hand, bin by bin, and by scikit-learn where it has them."""
    logits, labels = simulated(400, 3, 2.0)
    scores = Scores(softmax(logits), labels, np.arange(400) // 4, CLASSES)
    found = evaluate_calibration(scores, 100)
    confidence, correct = scores.confidences, scores.correct
    assert found.nll.value == pytest.approx(log_loss(labels, scores.probabilities, labels=range(3)))
    others = evaluate_scores(scores, 100)
    assert found.ece.value == pytest.approx(others.ece.value)
    assert found.brier.value == pytest.approx(others.brier.value)
    equal = np.array_split(np.argsort(confidence, kind="stable"), 15)
    adaptive = sum(len(rows) * abs(correct[rows].mean() - confidence[rows].mean()) for rows in equal) / 400
    assert found.adaptive_ece.value == pytest.approx(adaptive, abs=2e-3)  # bins of 26 and 27 slices
    classwise = 0.0
    for c in range(3):
        column, truth = scores.probabilities[:, c], labels == c
        for number in range(15):
            rows = (column > number / 15) & (column <= (number + 1) / 15)
            if rows.any():
                classwise += rows.mean() * abs(truth[rows].mean() - column[rows].mean()) / 3
    assert found.classwise_ece.value == pytest.approx(classwise)
    assert all(
        getattr(found, key).low <= getattr(found, key).value <= getattr(found, key).high
        for key in ("nll", "classwise_ece")
    )


def test_what_is_ruled_out_and_true_all_the_same_costs_a_finite_amount() -> None:
    scores = Scores(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), np.arange(2), ("a", "b"))
    assert evaluate_calibration(scores, 50).nll.value == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_one_group_has_numbers_without_intervals() -> None:
    logits, labels = simulated(30, 4)
    found = evaluate_calibration(Scores(softmax(logits), labels, np.zeros(30, dtype=int), CLASSES), 50)
    assert found.ece.value > 0
    assert found.ece.low is None


def test_chance_is_what_exact_probabilities_show() -> None:
    """Its 95 % hold the ECE of 95 in 100 tests of a model that is right as often as it says."""
    random = np.random.default_rng(0)
    within = 0
    for _ in range(200):
        sure = random.uniform(0.4, 1, 150)
        probabilities = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)
        labels = (random.random(150) > sure).astype(np.int64)
        scores = Scores(probabilities, labels, np.arange(150), CLASSES)
        found = evaluate_calibration(scores, 100)
        chance = ece_by_chance(scores.confidences, 200)
        within += chance.low <= found.ece.value <= chance.high
    assert 180 <= within <= 198


def test_chance_shrinks_with_the_slices_and_is_none_where_all_is_sure() -> None:
    few, many = (ece_by_chance(np.full(n, 0.9), 300).value for n in (100, 10_000))
    assert few == pytest.approx(10 * many, rel=0.1)
    assert ece_by_chance(np.ones(50), 10) == Estimate(value=0.0, low=0.0, high=0.0)
