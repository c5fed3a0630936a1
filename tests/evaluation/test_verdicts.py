import numpy as np
import pytest

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.verdicts import evaluate_verdicts, outlier_histogram

KINDS = ("accepted", "uncertain", "out of scope")


def test_shares_and_accuracy_by_verdict() -> None:
    said = np.array([0, 0, 1, 1, 0, 0])
    scores = Scores(
        0.1 + 0.8 * np.eye(2)[said], np.array([0, 0, 1, 0, 1, 0]), np.array([0, 0, 1, 1, 2, 3]), ("a", "b")
    )
    given = ["accepted", "accepted", "accepted", "accepted", "uncertain", "uncertain"]
    found = evaluate_verdicts(scores, given, KINDS, resamples=200)
    assert list(found) == list(KINDS)
    assert [entry.n for entry in found.values()] == [4, 2, 0]
    assert found["accepted"].share.value == pytest.approx(4 / 6)
    assert found["accepted"].accuracy.value == 0.75
    assert found["uncertain"].accuracy.value == 0.5
    assert found["out of scope"].accuracy == Estimate(value=None, low=None, high=None)
    assert found["out of scope"].share.value == 0
    assert found["accepted"].share.low < 4 / 6 < found["accepted"].share.high


def test_the_histogram_counts_all_and_has_the_threshold_as_an_edge() -> None:
    scores = np.array([0.5, 0.9, 1.0000001, 1.5, 30.0, 0.0])
    found = outlier_histogram(scores)
    edges = np.array(found.edges)
    assert sum(found.counts) == 6
    assert np.isclose(edges, 1).any()
    beyond = sum(count for edge, count in zip(edges, found.counts, strict=False) if edge > 1 - 1e-9)
    assert beyond == 3
