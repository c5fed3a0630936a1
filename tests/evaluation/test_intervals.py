"""The statistical promise, on simulated data: 95 % intervals hold the truth 95 times in 100."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

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
        accuracy = evaluate_scores(binary(right.ravel(), groups), resamples=150).accuracy
        hits += accuracy.low <= truth <= accuracy.high
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
    return {name: getattr(result, name).high - getattr(result, name).low for name in names}


@pytest.mark.parametrize("smallest", [2, 5])
def test_macro_auroc_is_covered_where_one_class_is_small(smallest):
    """Slices of a group are alike, and one class of three has few groups."""
    rng = np.random.default_rng(5)
    sizes = np.array([40, 40, smallest])
    large = ranked(rng, np.array([2000, 2000, 2000]))
    weights = sizes[large.labels]
    truth = np.mean(
        [
            roc_auc_score(large.labels == index, large.probabilities[:, index], sample_weight=weights)
            for index in range(3)
        ]
    )
    hits, widths = 0, []
    for _ in range(80):
        found = evaluate_scores(ranked(rng, sizes), resamples=150).macro_auroc
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert hits / 80 >= 0.92
    assert np.mean(widths) < 0.25  # 0.68 where the groups of the smallest class were the degrees of freedom


@pytest.mark.parametrize(("gap", "groups"), [(0.0, 200), (0.05, 200), (0.1, 60)])
def test_ece_is_covered(gap, groups):
    """Of a model that is `gap` too sure at each of four confidences; also of one that is calibrated."""
    rng = np.random.default_rng(6)
    right_by_level = np.array([0.55, 0.7, 0.83, 0.89])
    hits, trials = 0, 80
    for _ in range(trials):
        level = rng.integers(4, size=3 * groups)
        sure = (right_by_level + gap)[level]
        right = rng.random(3 * groups) < right_by_level[level]
        labels = np.arange(3 * groups) % 2
        predicted = np.where(right, labels, 1 - labels)
        probabilities = np.where(np.arange(2) == predicted[:, None], sure[:, None], 1 - sure[:, None])
        scores = Scores(probabilities, labels, np.repeat(np.arange(groups), 3), ("no", "yes"))
        found = evaluate_scores(scores, resamples=150).ece
        hits += found.low <= gap + 1e-12 <= found.high
    assert hits / trials >= 0.92


def ranked(rng, sizes) -> Scores:
    """Three classes of so many groups, three slices each, half of whose noise they share."""
    labels = np.repeat(np.repeat(np.arange(3), sizes), 3)
    groups = np.repeat(np.arange(sizes.sum()), 3)
    noise = np.sqrt(0.5) * (rng.normal(size=(sizes.sum(), 3))[groups] + rng.normal(size=(len(labels), 3)))
    odds = np.exp(noise + 1.5 * np.eye(3)[labels])
    return Scores(odds / odds.sum(axis=1, keepdims=True), labels, groups, ("a", "b", "c"))
