"""The promise of prediction sets, on simulated patients: slices of one are alike, patients are exchangeable."""

import numpy as np
import pytest
from scipy.stats import binom

from gliascope.evaluation.conformal import (
    conformity,
    coverage_bounds,
    evaluate_sets,
    highest_level,
    needed,
    one_of_each,
)
from gliascope.evaluation.scores import Scores
from gliascope.inference.judge import Judge, JudgeInfo, softmax

CLASSES = ("a", "b", "c", "d")
TRIALS, CALIBRATED, TESTED = 120, 120, 400


def patients(count: int, seed: int) -> Scores:
    """One to twelve slices each; a model of some skill that errs by patient rather than by slice."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 13, count)
    groups = np.repeat(np.arange(count), sizes)
    labels = random.integers(0, 4, count)[groups]
    blurred = random.normal(0, 1.6, (count, 4))[groups] + random.normal(0, 0.5, (len(groups), 4))
    return Scores(softmax(3 * np.eye(4)[labels] + blurred), labels, groups, CLASSES)


def judge(calibration: Scores, level: float, seed: int = 0) -> Judge:
    found = conformity(calibration, level, seed)
    info = JudgeInfo(
        temperature=1,
        method="lac",
        level=level,
        penalty=found.penalty,
        free=found.free,
        spaces={},
        references=0,
    )
    return Judge(info, {"lac": found.lac, "aps": found.aps, "raps": found.raps})


def covered_groups(test: Scores, sets: np.ndarray, seed: int) -> int:
    """How many of the test groups' sets hold the truth, of one slice drawn of each."""
    rows = one_of_each(test.group_codes, seed)
    return int(sets[rows, test.labels[rows]].sum())


@pytest.fixture(scope="module")
def trials() -> dict[str, np.ndarray]:
    """Groups covered in each trial, by method; and by lac calibrated on all slices as if they were patients."""
    counts: dict[str, list[int]] = {"lac": [], "aps": [], "raps": [], "slices": []}
    for trial in range(TRIALS):
        calibration, test = patients(CALIBRATED, 2 * trial), patients(TESTED, 2 * trial + 1)
        fitted = judge(calibration, 0.9, trial)
        for method in ("lac", "aps", "raps"):
            sets = fitted.by(method, 0.9).sets(test.probabilities)
            counts[method].append(covered_groups(test, sets, trial))
        alone = Scores(
            calibration.probabilities, calibration.labels, np.arange(len(calibration)), calibration.classes
        )
        sets = judge(alone, 0.9, trial).sets(test.probabilities)
        counts["slices"].append(covered_groups(test, sets, trial))
    return {method: np.array(found) for method, found in counts.items()}


def test_coverage_of_patients_is_what_theory_says(trials: dict[str, np.ndarray]) -> None:
    """Within the beta-binomial bounds as often as they promise; and on average, the level and hardly more."""
    low, high = coverage_bounds(0.9, CALIBRATED, TESTED)
    shares = trials["lac"] / TESTED
    inside = int(((shares >= low) & (shares <= high)).sum())
    assert inside >= binom(TRIALS, 0.95).ppf(0.001)
    spread = 4 * shares.std() / np.sqrt(TRIALS)
    assert 0.9 - spread < shares.mean() < 0.9 + 1 / (CALIBRATED + 1) + spread


def test_sets_that_are_never_empty_cover_at_least_as_often(trials: dict[str, np.ndarray]) -> None:
    low, _ = coverage_bounds(0.9, CALIBRATED, TESTED)
    for method in ("aps", "raps"):
        assert (trials[method] / TESTED >= low).mean() > 0.95
        assert trials[method].mean() > trials["lac"].mean()


def test_taking_slices_for_patients_breaks_the_promise(trials: dict[str, np.ndarray]) -> None:
    """What this guards against: as many slices as there are would promise narrower bounds than hold."""
    slices = np.mean([len(patients(CALIBRATED, 2 * trial)) for trial in range(5)])
    low, high = coverage_bounds(0.9, int(slices), TESTED)
    shares = trials["slices"] / TESTED
    assert ((shares < low) | (shares > high)).mean() > 0.1


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_the_judge_makes_the_sets_that_mapie_makes(method: str, level: float) -> None:
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import RAPSConformityScore

    from gliascope.evaluation.conformal import _said

    calibration, test = patients(800, 0), patients(300, 1)
    ours = judge(calibration, level).by(method, level)
    drawn = calibration.at(np.isin(np.arange(len(calibration)), one_of_each(calibration.group_codes, 0)))

    class Score(RAPSConformityScore):
        def set_external_attributes(self, *, size_raps=None, **rest) -> None:
            super().set_external_attributes(size_raps=0.2, **rest)

    score = Score() if method == "raps" else method
    theirs = SplitConformalClassifier(_said(drawn), level, conformity_score=score, random_state=0)
    theirs.conformalize(drawn.probabilities, drawn.labels)
    expected = theirs.predict_set(test.probabilities)[1][:, :, 0]
    assert (ours.sets(test.probabilities) == expected).mean() > 0.999  # but for ties in rounding


def test_one_slice_of_each_group_is_drawn_at_random() -> None:
    groups = np.repeat(np.arange(50), 4)
    rows = one_of_each(groups, 0)
    assert (groups[rows] == np.arange(50)).all()
    assert len(set(rows % 4)) == 4
    assert (rows == one_of_each(groups, 0)).all()
    assert (rows != one_of_each(groups, 1)).any()


@pytest.mark.parametrize(
    ("groups", "level"), [(5000, 0.99), (99, 0.99), (98, 0.95), (19, 0.95), (18, 0.9), (9, 0.9), (8, 0.99)]
)
def test_too_few_groups_lower_the_level(groups: int, level: float) -> None:
    assert highest_level(groups) == level
    assert (groups >= needed(level)) == (groups >= 9)


def test_with_fewer_groups_than_any_level_takes_sets_hold_all_classes() -> None:
    fitted = judge(patients(8, 0), 0.99)
    test = patients(50, 1)
    for method in ("lac", "aps", "raps"):
        assert fitted.by(method, 0.99).sets(test.probabilities).all()
    found = evaluate_sets(test, fitted.sets(test.probabilities), 50)
    assert found.coverage.value == 1
    assert found.size.value == 4
    assert coverage_bounds(0.99, 8, 50) == (1, 1)


def test_raps_needs_groups_for_its_penalty_and_is_left_out_without() -> None:
    assert len(conformity(patients(150, 0), 0.99).raps) == 0
    assert len(conformity(patients(201, 0), 0.99).raps) == 101
    assert len(conformity(patients(500, 0), 0.99).raps) == 400


def test_between_two_classes_there_is_lac_alone() -> None:
    labels = np.tile([0, 1], 200)
    truth = np.random.default_rng(0).beta(5, 1, 400)
    probabilities = np.where(labels[:, None] == [0, 1], truth[:, None], 1 - truth[:, None])
    fit = conformity(Scores(probabilities, labels, np.arange(400), ("yes", "no")), 0.99)
    assert len(fit.lac) == 400
    assert np.allclose(fit.lac, np.sort(1 - truth))
    assert len(fit.aps) == len(fit.raps) == 0


def test_numbers_of_sets() -> None:
    labels, groups = np.array([0, 0, 1, 2]), np.array([0, 0, 1, 2])
    scores = Scores(np.full((4, 4), 0.25), labels, groups, CLASSES)
    sets = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    found = evaluate_sets(scores, sets, 100)
    assert found.coverage.value == pytest.approx((0.5 + 1 + 0) / 3)  # the group of two counts once
    assert found.of_slices == 0.5
    assert found.per_class == {"a": 0.5, "b": 1.0, "c": 0.0, "d": None}
    assert found.size.value == 1
    assert found.sizes == (1, 2, 1, 0, 0)
    assert found.coverage.low < 0.5 < found.coverage.high
