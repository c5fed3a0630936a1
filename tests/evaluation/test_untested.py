"""C3: what was not tested is said, and metrics treat an absent class alike."""

import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python

from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.replicates import metrics_from_counts
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.untested import find_untested

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


def told(labels: list[int], said: list[int], groups: list[int] | None = None) -> Scores:
    probabilities = np.full((len(labels), 4), 0.01)
    probabilities[np.arange(len(labels)), said] = 0.97
    return Scores(probabilities, np.array(labels), np.array(groups or range(len(labels))), CLASSES)


def test_an_absent_class_is_in_no_macro_average_and_said_to_be_untested() -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 10
    scores = told(labels, [*[0] * 9, 3, *[1] * 10, *[2] * 10])  # one glioma is taken for the absent class
    result = evaluate_scores(scores, 100)
    f1 = 2 * 9 / (10 + 9)
    assert result.macro_f1.value == pytest.approx((f1 + 2) / 3)
    assert result.balanced_accuracy.value == pytest.approx((0.9 + 2) / 3)
    assert result.per_class["pituitary"].f1.value is None
    assert result.per_class["pituitary"].precision.value == 0  # all that were called so are wrong
    assert result.accuracy.value == pytest.approx(29 / 30)
    found = find_untested(scores, result)
    json.dumps(to_jsonable_python(found), allow_nan=False)
    present = ("glioma", "meningioma", "no_tumor")
    assert found.untested == ("pituitary",)
    assert found.few == {}
    assert found.averaged_over == dict.fromkeys(("balanced_accuracy", "macro_f1", "macro_auroc"), present)
    assert list(found.notes) == [
        "No test slice is of pituitary: how well the model tells it was not tested.",
        "Balanced accuracy, macro F1 and macro AUROC are means over 3 of 4 classes: glioma, meningioma and "
        "no_tumor.",
    ]


def test_a_resample_that_lacks_a_class_says_nothing_of_its_f1() -> None:
    """As of its recall, though slices are taken for it."""
    found = metrics_from_counts(*np.array([[[3.0, 0.0]], [[2.0, 1.0]], [[2.0, 0.0]]]))
    assert np.isnan([found["recall"][0, 1], found["f1"][0, 1]]).all()
    assert found["macro_f1"][0] == found["f1"][0, 0] == pytest.approx(0.8)


def test_a_class_of_one_slice_is_named() -> None:
    scores = told([0] * 10 + [1] * 10 + [2] * 10 + [3], [0] * 10 + [1] * 10 + [2] * 10 + [3])
    found = find_untested(scores, evaluate_scores(scores, 50))
    assert (found.untested, found.few) == ((), {"pituitary": 1})
    assert "Few test slices are of pituitary (1 slice of 1 group)" in found.notes[0]


def test_calibration_that_knows_nothing_of_a_class_or_stopped_at_its_bound_is_said() -> None:
    labels = list(range(4)) * 10
    scores = told(labels, labels)
    result = evaluate_scores(scores, 50)
    every = dict.fromkeys(CLASSES, 9)
    assert find_untested(scores, result, [every], [1.7]).notes == ()
    found = find_untested(scores, result, [{"glioma": 3, "no_tumor": 2, "pituitary": 1}], [19.99])
    assert found.uncalibrated == ("meningioma",)
    assert list(found.notes) == [
        "No slice of meningioma calibrated the model: temperature and prediction sets know nothing of it.",
        "The temperature stopped at its bound (20): the slices that calibrate would have it farther, so "
        "probabilities are not calibrated.",
    ]
    assert "bound" in find_untested(scores, result, [every], [0.0501]).notes[0]


def test_one_class_alone_and_models_that_lack_one_are_said() -> None:
    alone = told([1] * 10, [1] * 10)
    notes = find_untested(alone, evaluate_scores(alone, 50)).notes
    assert "macro AUROC cannot be computed: all test slices are of one class." in notes
    labels = list(range(4)) * 10
    both = Scores.join([told(labels, labels), told([0, 1, 2] * 10, [0, 1, 2] * 10)])
    notes = find_untested(both, evaluate_scores(both, 50)).notes
    assert list(notes) == [
        "AUROC is the mean over those models that were tested on the class: pituitary (1 of 2)."
    ]


def test_many_names_are_not_all_listed() -> None:
    classes = tuple(f"class {number}" for number in range(40))
    scores = Scores(np.full((20, 40), 1 / 40), np.arange(20) % 10, np.arange(20), classes)
    found = find_untested(scores, evaluate_scores(scores, 20))
    assert len(found.untested) == 30
    assert "class 17 and 22 more: how well the model tells these was not tested." in found.notes[0]
