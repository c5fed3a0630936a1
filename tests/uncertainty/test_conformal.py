"""The promise of prediction sets, on simulated patients: slices of one are alike, patients are exchangeable."""

import numpy as np
import pytest
from scipy.stats import binom

from gliascope.evaluation.scores import Scores
from gliascope.uncertainty.conformal import (
    conformal_quantile,
    coverage_bounds,
    fit_nonconformity,
    groups_needed,
    highest_level,
    one_slice_per_group,
    prediction_sets,
)
from gliascope.uncertainty.temperature import softmax

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


def sets_of(calibration: Scores, test: Scores, level: float, seed: int = 0) -> np.ndarray:
    nonconformity = fit_nonconformity(calibration.probabilities, calibration.labels, calibration.groups, seed)
    return prediction_sets(test.probabilities, conformal_quantile(nonconformity, level))


def covered_groups(test: Scores, sets: np.ndarray, seed: int) -> int:
    """How many of the test groups' sets hold the truth, of one slice drawn of each."""
    rows = one_slice_per_group(test.groups, seed)
    return int(sets[rows, test.labels[rows]].sum())


@pytest.fixture(scope="module")
def trials() -> dict[str, np.ndarray]:
    """Groups covered in each trial; and where all slices calibrated as if each were a patient."""
    counts: dict[str, list[int]] = {"lac": [], "slices": []}
    for trial in range(TRIALS):
        calibration, test = patients(CALIBRATED, 2 * trial), patients(TESTED, 2 * trial + 1)
        alone = Scores(
            calibration.probabilities, calibration.labels, np.arange(len(calibration)), calibration.classes
        )
        for name, scores in (("lac", calibration), ("slices", alone)):
            counts[name].append(covered_groups(test, sets_of(scores, test, 0.9, trial), trial))
    return {name: np.array(found) for name, found in counts.items()}


def test_coverage_of_patients_is_what_theory_says(trials: dict[str, np.ndarray]) -> None:
    """Within the beta-binomial bounds as often as they promise; and on average, the level and hardly more."""
    low, high = coverage_bounds(0.9, CALIBRATED, TESTED)
    shares = trials["lac"] / TESTED
    inside = int(((shares >= low) & (shares <= high)).sum())
    assert inside >= binom(TRIALS, 0.95).ppf(0.001)
    spread = 4 * shares.std() / np.sqrt(TRIALS)
    assert 0.9 - spread < shares.mean() < 0.9 + 1 / (CALIBRATED + 1) + spread


def test_taking_slices_for_patients_breaks_the_promise(trials: dict[str, np.ndarray]) -> None:
    """What this guards against: as many slices as there are would promise narrower bounds than hold."""
    slices = np.mean([len(patients(CALIBRATED, 2 * trial)) for trial in range(5)])
    low, high = coverage_bounds(0.9, int(slices), TESTED)
    shares = trials["slices"] / TESTED
    assert ((shares < low) | (shares > high)).mean() > 0.1


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_sets_are_those_of_brute_force(level: float) -> None:
    """A class is in the set where its score is exceeded by fewer calibration scores than the level allows."""
    calibration, test = patients(60, 0), patients(80, 1)
    rows = one_slice_per_group(calibration.groups, 0)
    own = [1 - calibration.probabilities[row, calibration.labels[row]] for row in rows]
    sets = sets_of(calibration, test, level)
    for row, probabilities in enumerate(test.probabilities):
        for label, probability in enumerate(probabilities):
            p_value = (1 + sum(score >= 1 - probability for score in own)) / (len(own) + 1)
            assert sets[row, label] == (p_value > 1 - level + 1e-12), (row, label)


@pytest.mark.parametrize("level", [0.37, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("groups", [1, 9, 19, 20, 99])
def test_the_quantile_is_the_smallest_score_that_enough_scores_do_not_exceed(
    groups: int, level: float
) -> None:
    scores = np.sort(np.random.default_rng(groups).random(groups))
    enough = [score for score in scores if (scores <= score).sum() >= (groups + 1) * level - 1e-9]
    assert conformal_quantile(scores, level) == (min(enough) if enough else np.inf)


def test_the_smallest_level_takes_the_smallest_score() -> None:
    assert conformal_quantile(np.array([0.1, 0.5, 0.9]), 1e-12) == 0.1


def test_scores_are_of_the_true_class_ascending_and_one_a_group() -> None:
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    found = fit_nonconformity(probabilities, np.array([0, 0, 1]), np.array(["p", "q", "r"]))
    assert found == pytest.approx([0.3, 0.6, 0.9])
    calibration = patients(40, 3)
    found = fit_nonconformity(calibration.probabilities, calibration.labels, calibration.groups)
    assert len(found) == 40
    assert (np.diff(found) >= 0).all()


def test_one_slice_of_each_group_is_drawn_at_random() -> None:
    groups = np.repeat(np.arange(50), 4)
    rows = one_slice_per_group(groups, 0)
    assert (groups[rows] == np.arange(50)).all()
    assert len(set(rows % 4)) == 4
    assert (rows == one_slice_per_group(groups, 0)).all()
    assert (rows != one_slice_per_group(groups, 1)).any()


@pytest.mark.parametrize(
    ("groups", "level"), [(5000, 0.99), (99, 0.99), (98, 0.95), (19, 0.95), (18, 0.9), (9, 0.9), (8, 0.99)]
)
def test_too_few_groups_lower_the_level(groups: int, level: float) -> None:
    assert highest_level(groups) == level
    assert (groups >= groups_needed(level)) == (groups >= 9)


def test_with_fewer_groups_than_any_level_takes_sets_hold_all_classes() -> None:
    assert sets_of(patients(8, 0), patients(50, 1), 0.99).all()
    assert coverage_bounds(0.99, 8, 50) == (1, 1)
