import numpy as np
import pytest

from gliascope.evaluation.metrics import Scores

CLASSES = ("glioma", "notumor")


def make(probabilities=((0.9, 0.1), (0.2, 0.8)), labels=(0, 1), groups=("p1", "p2"), classes=CLASSES):
    return Scores(np.array(probabilities, dtype=float), np.array(labels), np.array(groups), classes)


def test_it_holds_what_it_was_given_in_the_stated_types():
    scores = Scores(
        np.array([[0.25, 0.75]], dtype=np.float32), np.array([1], np.int8), np.array([7]), list(CLASSES)
    )
    assert scores.probabilities.dtype == np.float64
    assert scores.labels.dtype == np.int64
    assert scores.classes == CLASSES
    assert len(scores) == 1
    assert scores.predictions.tolist() == [1]
    assert scores.confidences.tolist() == [0.75]
    assert scores.correct.tolist() == [True]


@pytest.mark.parametrize("groups", [("b", "a", "b"), (90, 10, 90), np.array(["b", "a", "b"], dtype=object)])
def test_groups_are_renumbered_without_gaps(groups):
    scores = make([[0.9, 0.1]] * 3, [0, 0, 1], groups)
    assert scores.group_codes.tolist() == [1, 0, 1]
    assert scores.group_count == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": [0.9, 0.1]}, r"expected `probabilities` of shape \(n, 2\) but got \(2,\)"),
        ({"probabilities": [[1.0]]}, r"expected `probabilities` of shape \(n, 2\) but got \(1, 1\)"),
        ({"probabilities": np.zeros((0, 2))}, "expected at least one slice but got none"),
        ({"probabilities": [[np.nan, 0.1], [0.2, 0.8]]}, "expected `probabilities` to be finite but got NaN"),
        ({"probabilities": [[1.5, -0.5], [0.2, 0.8]]}, "of 0 or more but got -0.5"),
        ({"probabilities": [[0.9, 0.1], [0.2, 0.81]]}, "to sum to 1 but got 1.01 in row 1"),
        ({"labels": [0]}, r"expected `labels` of shape \(2,\) but got \(1,\)"),
        ({"labels": [0, 2]}, "expected `labels` from 0 to 1 but got 0 to 2"),
        ({"labels": [-1, 0]}, "expected `labels` from 0 to 1 but got -1 to 0"),
        ({"labels": [0.0, 1.0]}, "expected `labels` to be integers but got dtype float64"),
        ({"groups": [1.5, 2.5]}, "expected `groups` to be integers or strings but got dtype float64"),
        ({"groups": ["a"]}, r"expected `groups` of shape \(2,\) but got \(1,\)"),
        ({"classes": ("one",)}, "expected `classes` to be two or more different names"),
        ({"classes": ("one", "one")}, "expected `classes` to be two or more different names"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


def test_float32_rounding_of_the_rows_is_accepted():
    make([[0.90004, 0.1], [0.2, 0.79996]])
