"""The statistical promise, on simulated data: 95 % intervals hold the truth 95 times in 100."""

import numpy as np
import pytest
from scipy.stats import binomtest

from gliascope.evaluation.intervals import clopper_pearson, error_interval, group_draws, share_interval
from gliascope.evaluation.metrics import Scores, evaluate_scores


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (1302, 1311)])
def test_clopper_pearson_is_that_of_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(successes, trials) == pytest.approx((expected.low, expected.high))


def test_draws_are_groups_with_replacement():
    draws = np.concatenate(list(group_draws(50, 50, 400, seed=0)))
    assert draws.shape == (400, 50)
    assert (draws.sum(axis=1) == 50).all()
    assert draws.mean() == 1
    assert draws.var() == pytest.approx(1 - 1 / 50, rel=0.1)


def test_blocks_do_not_change_the_draws():
    one = np.concatenate(list(group_draws(30, 30, 10, seed=3)))
    many = list(group_draws(30, 2_000_000, 10, seed=3))
    assert len(many) == 5
    assert (np.concatenate(many) == one).all()


def test_draws_do_not_repeat_what_the_same_seed_gave_elsewhere():
    draws = next(group_draws(100, 100, 1, seed=0))
    other = np.random.default_rng(0).multinomial(100, np.full(100, 0.01), size=1)
    assert (draws != other).any()


def test_independent_slices_get_the_exact_binomial_interval():
    wrong = np.arange(1311) < 9
    samples = np.concatenate([draws @ ~wrong for draws in group_draws(1311, 1311, 4000, seed=0)]) / 1311
    low, high = share_interval(1302 / 1311, samples, 1311)
    assert (low, high) == pytest.approx(clopper_pearson(1302, 1311), abs=4e-4)


def test_no_spread_means_the_number_of_groups_and_one_group_means_no_interval():
    assert share_interval(1.0, np.ones(100), 40) == clopper_pearson(40, 40)
    assert share_interval(0.0, np.zeros(100), 40) == clopper_pearson(0, 40)
    low, high = share_interval(0.5, np.full(100, 0.5), 40)
    assert (low, high) == pytest.approx((0.338, 0.662), abs=1e-3)
    # The best over thresholds, which a resample may miss by little, or by more than the groups allow for.
    assert share_interval(1.0, np.append(np.ones(99), 0.999), 40) == clopper_pearson(40, 40)
    assert share_interval(1.0, np.full(100, 0.5), 40) == (0.5, 1.0)
    assert share_interval(1.0, np.ones(100), 1) is None
    assert share_interval(float("nan"), np.full(100, np.nan), 40) is None
    assert error_interval(0.1, np.full(100, 0.1), 1) is None


def test_error_interval_holds_a_value_its_resamples_lie_above():
    low, high = error_interval(0.010, np.linspace(0.012, 0.020, 1000), 300)
    assert 0 <= low <= 0.010 <= high


@pytest.mark.parametrize(
    ("groups", "size", "truth", "likeness"),
    [
        (300, 1, 0.983, 0),  # five errors expected: where percentile intervals cover 89 %
        (1311, 1, 0.992, 0),
        (150, 5, 0.95, 0.5),
        (400, 3, 0.97, 1),
    ],
)
def test_shares_are_covered(groups, size, truth, likeness):
    """`likeness`: correlation of slices of one group; 1 means that they are copies."""
    rng = np.random.default_rng(11)
    (draws,) = group_draws(groups, groups, 400, seed=0)
    hits, trials = 0, 300
    for _ in range(trials):
        right = clustered(rng, groups, size, truth, likeness).sum(axis=1)
        low, high = share_interval(right.mean() / size, draws @ right / (groups * size), groups)
        hits += low <= truth <= high
    assert 0.93 <= hits / trials <= 0.995


@pytest.mark.parametrize("keep_groups", [True, False])
def test_the_whole_evaluation_covers_only_if_it_knows_the_groups(keep_groups):
    rng = np.random.default_rng(2)
    hits, trials, truth = 0, 80, 0.9
    for _ in range(trials):
        right = clustered(rng, 80, 4, truth, 0.8)
        groups = np.repeat(np.arange(80), 4) if keep_groups else np.arange(320)
        accuracy = evaluate_scores(binary(right.ravel(), groups), resamples=150)["accuracy"]
        hits += accuracy["low"] <= truth <= accuracy["high"]
    if keep_groups:
        assert hits / trials >= 0.92
    else:
        assert hits / trials <= 0.80


def test_copies_within_groups_do_not_make_it_surer_but_copies_without_groups_do():
    rng = np.random.default_rng(4)
    right = rng.random(250) < 0.92
    once = width(binary(right, np.arange(250)))
    grouped = width(binary(np.repeat(right, 4), np.repeat(np.arange(250), 4)))
    ungrouped = width(binary(np.repeat(right, 4), np.arange(1000)))
    for name in ("accuracy", "macro_auroc", "ece", "brier"):
        assert grouped[name] == pytest.approx(once[name], rel=0.02), name
        assert grouped[name] > 1.6 * ungrouped[name], name


def clustered(rng, groups, size, truth, likeness):
    """Right or wrong, (groups, size), with beta-binomial correlation within groups."""
    if likeness == 0:
        chance = np.full(groups, truth)
    elif likeness == 1:
        chance = (rng.random(groups) < truth).astype(float)
    else:
        strength = (1 - likeness) / likeness
        chance = rng.beta(truth * strength, (1 - truth) * strength, groups)
    return rng.random((groups, size)) < chance[:, None]


def binary(right, groups) -> Scores:
    """Two classes in turn (by group), each slice scored right or wrong with 0.85."""
    labels = np.asarray(groups) % 2
    predicted = np.where(right, labels, 1 - labels)
    probabilities = np.where(np.arange(2) == predicted[:, None], 0.85, 0.15)
    return Scores(probabilities, labels, groups, ("no", "yes"))


def width(scores) -> dict[str, float]:
    result = evaluate_scores(scores, resamples=1500)
    names = ("accuracy", "macro_auroc", "ece", "brier")
    return {name: result[name]["high"] - result[name]["low"] for name in names}
