import numpy as np
import pytest

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.subgroups import Subgroup, evaluate_subgroups


def scores() -> Scores:
    """Right on the first four, wrong on the last two."""
    labels = np.array([0, 1, 0, 1, 1, 1])
    said = np.array([0, 1, 0, 1, 0, 0])
    return Scores(np.where(np.eye(2)[said] > 0, 0.9, 0.1), labels, np.arange(6), ("no_tumor", "tumor"))


def test_each_value_has_its_own_numbers_and_classes() -> None:
    found = evaluate_subgroups(scores(), {"modality": ["MR"] * 4 + ["CT", None], "format": ["PNG"] * 6}, 50)
    assert list(found) == ["modality"]  # one format tells nothing apart
    assert found["modality"]["MR"].accuracy.value == 1
    assert found["modality"]["MR"].classes == {"no_tumor": 2, "tumor": 2}
    nothing_right = Estimate(value=0, low=None, high=None)
    assert found["modality"]["CT"] == Subgroup(
        n=1, groups=1, classes={"tumor": 1}, accuracy=nothing_right, balanced_accuracy=nothing_right
    )
    assert found["modality"]["unknown"].n == 1


def test_a_subgroup_counts_as_a_test_set_of_its_own() -> None:
    half = np.array([True, False, True, True, False, True])
    whole = evaluate_scores(scores().select(half), 50)
    part = evaluate_subgroups(scores(), {"source": np.where(half, "a", "b").tolist()}, 50)["source"]["a"]
    assert part.balanced_accuracy == whole.balanced_accuracy
    with pytest.raises(ValueError, match="at least one slice"):
        scores().select(np.zeros(6, bool))
