import numpy as np
import pytest

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.robustness import VerdictScores, evaluate_corrupted
from gliascope.evaluation.scores import Scores

KINDS = ("accepted", "uncertain", "out of scope")
GROUPS = 40


def judged(right: np.ndarray, accepted: np.ndarray | None) -> VerdictScores:
    labels = np.arange(len(right)) % 2
    probabilities = 0.1 + 0.8 * np.eye(2)[np.where(right, labels, 1 - labels)]
    verdicts = None if accepted is None else np.where(accepted, "accepted", "out of scope").tolist()
    return VerdictScores(Scores(probabilities, labels, np.arange(len(right)) // 2, ("a", "b")), verdicts)


def half(share: float) -> np.ndarray:
    return np.arange(2 * GROUPS) < share * 2 * GROUPS


def test_what_is_lost_is_counted_slice_by_slice() -> None:
    clean, worse = judged(half(0.9), half(1)), judged(half(0.6), half(0.7))
    found = evaluate_corrupted(worse, clean, KINDS, 500)
    assert found.accuracy.value == pytest.approx(0.6)
    assert found.confidence == pytest.approx(0.9)
    assert found.ece.value == pytest.approx(0.3)
    assert found.accuracy_loss.value == pytest.approx(0.3)
    assert 0.1 < found.accuracy_loss.low < 0.3 < found.accuracy_loss.high < 0.5
    assert found.verdicts["accepted"].share.value == pytest.approx(0.7)
    assert found.verdicts["accepted"].accuracy.value == pytest.approx(6 / 7)
    # A tenth was wrong and accepted before; another tenth is now, and the old one no more.
    assert found.accepted_errors.value == pytest.approx(0.1)
    assert 0 < found.accepted_errors.low < 0.1 < found.accepted_errors.high < 0.3
    assert found.accepted_errors_increase.value == pytest.approx(0)
    assert found.accepted_errors_increase.low < 0 < found.accepted_errors_increase.high


def test_verdicts_that_accept_all_notice_nothing() -> None:
    found = evaluate_corrupted(judged(half(0.5), half(1)), judged(half(1), half(1)), KINDS, 500)
    assert found.accepted_errors_increase == found.accuracy_loss and found.accuracy_loss.low > 0.3


def test_the_same_slices_lose_nothing() -> None:
    clean = judged(half(0.8), half(0.9))
    found = evaluate_corrupted(clean, clean, KINDS, 200)
    assert found.accuracy_loss == found.accepted_errors_increase == Estimate(value=0, low=0, high=0)


def test_without_a_calibrator_there_is_nothing_to_notice() -> None:
    found = evaluate_corrupted(judged(half(0.5), None), judged(half(1), None), KINDS, 200)
    assert found.verdicts is found.accepted_errors is found.accepted_errors_increase is None
    assert found.accuracy_loss.value == 0.5
