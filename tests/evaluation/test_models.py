"""A7: what several models said of a test set. Folds here have logits of drastically different scale and offset."""

import dataclasses
import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python
from sklearn.metrics import average_precision_score, roc_auc_score

from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies

CLASSES = ("no_tumor", "tumor")


def fold(number: int, n: int = 120) -> Scores:
    """One model's test set of its own patients, three slices each."""
    rng = np.random.default_rng(number)
    labels = np.arange(n) // 3 % 2
    logit = (rng.normal(size=n) + 3 * labels - 1.5) * [0.2, 1, 5, 1, 1][number] + [0, -6, 0, 6, 2][number]
    score = 1 / (1 + np.exp(-logit))
    return Scores(np.stack([1 - score, score], axis=1), labels, 1000 * number + np.arange(n) // 3, CLASSES)


FOLDS = [fold(number) for number in range(5)]
POOLED = Scores.join(FOLDS)


def test_auroc_and_average_precision_are_the_mean_by_fold() -> None:
    by_fold = [roc_auc_score(one.labels, one.probabilities[:, 1]) for one in FOLDS]
    mixed = roc_auc_score(POOLED.labels, POOLED.probabilities[:, 1])
    found = evaluate_scores(POOLED, 300)
    assert min(by_fold) > 0.96
    assert mixed < 0.9
    for number in (found.macro_auroc, found.per_class["tumor"].auroc):
        assert number.value == pytest.approx(np.mean(by_fold))
        assert 0.95 < number.low < number.value < number.high < 1
    curve = evaluate_curves(POOLED, 300)["tumor"]
    expected = [average_precision_score(one.labels, one.probabilities[:, 1]) for one in FOLDS]
    assert curve.average_precision.value == pytest.approx(np.mean(expected))
    assert curve.average_precision.low > 0.9


def test_curves_are_of_each_model_and_their_vertical_average() -> None:
    curve = evaluate_curves(POOLED, 50)["tumor"]
    json.dumps(to_jsonable_python(curve), allow_nan=False)
    assert len(curve.models) == 5
    rate, recall = np.array(curve.roc).T
    assert (np.diff(rate) >= 0).all() and (np.diff(recall) >= -1e-9).all()
    by_fold = [roc_auc_score(one.labels, one.probabilities[:, 1]) for one in FOLDS]
    assert np.trapezoid(recall, rate) == pytest.approx(np.mean(by_fold), abs=0.01)
    assert evaluate_curves(FOLDS[0], 50)["tumor"].models == ()


def test_calibration_errors_are_the_mean_by_fold() -> None:
    """One model that is too sure and one that is too modest are not calibrated together."""
    alone = [evaluate_calibration(one, 50) for one in FOLDS]
    found = evaluate_calibration(POOLED, 50)
    for key in ("ece", "adaptive_ece", "classwise_ece"):
        assert getattr(found, key).value == pytest.approx(
            np.mean([getattr(one, key).value for one in alone])
        ), key
    assert found.nll.value == pytest.approx(np.mean([one.nll.value for one in alone]))
    assert evaluate_scores(POOLED, 50).ece.value == pytest.approx(found.ece.value)
    mixed = dataclasses.replace(POOLED, models=None)
    assert evaluate_calibration(mixed, 50).ece.value < found.ece.value - 0.01
    points = [row.models for row in reliability(POOLED)]
    assert all(len(row) == 5 for row in points)
    assert reliability(FOLDS[0])[0].models == ()


def test_operating_points_are_the_mean_over_models_each_with_its_threshold() -> None:
    points = operating_points(POOLED, FOLDS[0], 200)
    alone = [operating_points(one, None, 20) for one in FOLDS]
    assert points is not None
    for aim, point in points:
        expected = np.mean([getattr(one, aim).value.value for one in alone if one])
        assert point.value.value == pytest.approx(expected)
        assert point.value.low < expected < point.value.high
        assert (point.threshold, point.chosen) == (None, None)


def test_counts_are_of_slices_whichever_model_answered() -> None:
    found = evaluate_scores(POOLED, 100)
    assert found.accuracy.value == pytest.approx(np.mean([one.correct.mean() for one in FOLDS]))
    assert np.sum(found.confusion) == len(POOLED)


def test_a_second_drawing_with_the_same_answers_makes_nothing_surer() -> None:
    """Groups are the same in every drawing, and count once."""
    once, twice = evaluate_scores(POOLED, 400), evaluate_scores(Scores.join([*FOLDS, *FOLDS]), 400)
    assert (twice.n, twice.groups) == (2 * once.n, once.groups)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece", "brier"):
        assert dict(getattr(twice, name)) == pytest.approx(dict(getattr(once, name))), name
    for name in ("recall", "precision", "specificity", "auroc"):
        of_twice, of_once = (getattr(one.per_class["tumor"], name) for one in (twice, once))
        assert dict(of_twice) == pytest.approx(dict(of_once)), name


def test_a_study_is_put_together_of_one_models_slices_alone() -> None:
    """A7: under `--repeats` a study's slices came from several models, and one answer was made of all."""
    said = np.array([[0.0, 1.0]] * 4 + [[0.9, 0.1]] * 4)
    labels = np.ones(4, dtype=int)
    groups = np.array([7] * 4)
    studies = ["a"] * 4
    repeats = [Scores(part, labels, groups, CLASSES) for part in (said[:4], said[4:])]
    found = evaluate_studies(Scores.join(repeats), studies * 2, resamples=50)
    assert found is not None
    assert (found.n, found.distinct, found.slices, found.median_slices) == (2, 1, 8, 4)
    # One model is right and one is wrong; all together, the surer one had both say tumour.
    for method, entry in found.methods.items():
        assert entry.accuracy.value == 0.5, method


def test_models_that_a_class_was_not_tested_on_have_no_part_in_its_mean() -> None:
    without = Scores(FOLDS[1].probabilities[FOLDS[1].labels == 0], np.zeros(60, int), np.arange(60), CLASSES)
    found = evaluate_scores(Scores.join([FOLDS[0], without]), 100)
    expected = roc_auc_score(FOLDS[0].labels, FOLDS[0].probabilities[:, 1])
    assert found.macro_auroc.value == pytest.approx(expected)


def test_rows_know_their_model() -> None:
    assert POOLED.model_count == 5
    assert [len(rows) for rows in POOLED.rows_by_model] == [120] * 5
    assert POOLED.select(POOLED.labels == 0).model_count == 5
    assert POOLED.count_distinct() == 600
    assert Scores.join([FOLDS[0], FOLDS[0]]).count_distinct() == 120
    assert FOLDS[0].model_codes.tolist() == [0] * 120
    with pytest.raises(ValueError, match="`models` of shape"):
        Scores(FOLDS[0].probabilities, FOLDS[0].labels, FOLDS[0].groups, CLASSES, np.zeros(3, int))


def test_only_groups_that_a_model_could_rank_bear_on_auroc() -> None:
    """One model has a single patient with a tumour; the other was tested on no healthy one."""
    first = ranked(np.array([1] + [0] * 30), 0)
    second = ranked(np.ones(30, dtype=np.int64), 100)
    both = Scores.join([first, second])
    for scores in (first, both):
        found = evaluate_scores(scores, 100)
        numbers = [found.per_class["tumor"].auroc, found.macro_auroc]
        numbers += [evaluate_curves(scores, 100)["tumor"].average_precision]
        numbers += [operating_points(scores, resamples=100).specificity.value]
        assert numbers == [Estimate(value=1.0, low=None, high=None)] * 4


def ranked(labels: np.ndarray, first_group: int) -> Scores:
    """A model that ranks all of them right; each is a patient of its own."""
    score = 0.1 + 0.8 * labels
    groups = first_group + np.arange(len(labels))
    return Scores(np.stack([1 - score, score], axis=1), labels, groups, CLASSES)


@pytest.mark.filterwarnings("error")
def test_a_class_that_no_model_can_rank_is_left_out_without_a_word_from_numpy() -> None:
    first, second = ranked(np.zeros(5, dtype=np.int64), 0), ranked(np.ones(5, dtype=np.int64), 100)
    assert evaluate_scores(Scores.join([first, second]), 50).macro_auroc.value is None
