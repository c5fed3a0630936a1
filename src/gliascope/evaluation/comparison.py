"""Comparison of models that predicted the same slices with the most accurate one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import group_draws, mean_interval, with_interval
from gliascope.evaluation.metrics import Metrics, evaluate_scores
from gliascope.evaluation.replicates import group_sums
from gliascope.evaluation.scores import Scores

Bools = NDArray[np.bool_]
FLIPS = 9_999
_STREAM = 0xF11B


class AgainstBest(FrozenModel):
    """A model compared with the most accurate one, on the same slices."""

    best_only: int = Field(description="slices that only the best gets right")
    this_only: int = Field(description="slices that only this one gets right")
    p: float = Field(
        description="of McNemar's exact test, by slices; where several models were tested on the same slices "
        "(repeats), answers to one slice are not independent, and it is p_groups"
    )
    p_groups: float = Field(description="of the same question by groups: their signs are flipped at random")
    p_holm: float = Field(description="p after Holm's step-down over all models")
    p_groups_holm: float = Field(description="p_groups after Holm's step-down over all models")


@dataclass(frozen=True, slots=True)
class RankedModel:
    """One of the models that are compared. `against_best` is None for the best itself."""

    name: str
    result: Metrics
    against_best: AgainstBest | None


def compare_scores(scores: Mapping[str, Scores], resamples: int = 2000) -> list[RankedModel]:
    """Rank models by accuracy and test each against the best.

    Of equally accurate models, the one with the higher balanced accuracy comes first, then the one given
    first. The best is chosen on the same slices, which favours it.

    Parameters
    ----------
    scores
        By model name: its predictions of the same slices, in the same order.
    resamples
        Of the bootstrap over groups.

    Returns
    -------
    list of RankedModel
        The most accurate first.

    Raises
    ------
    ValueError
        If labels, groups or classes differ, so that predictions are not paired.
    """
    _check_paired(scores)
    results = {name: evaluate_scores(one, resamples) for name, one in scores.items()}
    ranked = sorted(
        scores,
        key=lambda name: [
            -(one.value or 0.0) for one in (results[name].accuracy, results[name].balanced_accuracy)
        ],
    )
    best = scores[ranked[0]]
    counts = [_against(best, scores[name]) for name in ranked[1:]]
    p, p_groups = (
        holm_correction([one.p for one in counts]),
        holm_correction([one.p_groups for one in counts]),
    )
    against = [
        one.model_copy(update={"p_holm": by_slices, "p_groups_holm": by_groups})
        for one, by_slices, by_groups in zip(counts, p, p_groups, strict=True)
    ]
    return [RankedModel(name, results[name], one) for name, one in zip(ranked, [None, *against], strict=True)]


def accuracy_gain(whole: Scores, members: Sequence[Scores], resamples: int = 2000) -> Estimate:
    """Compute how much more accurate one model is than the mean of others on the same slices.

    Parameters
    ----------
    whole
        Predictions of the one model, such as an ensemble.
    members
        Predictions of the others, such as its members.
    resamples
        Of the bootstrap over groups.

    Returns
    -------
    Estimate
        The difference in accuracy, with its percentile interval over groups; no interval for fewer than two
        groups.

    Raises
    ------
    ValueError
        If labels, groups or classes differ.
    """
    _check_paired({"the first": whole, **{f"member {n}": one for n, one in enumerate(members, start=1)}})
    if all(np.array_equal(whole.probabilities, one.probabilities) for one in members):
        return with_interval(0.0, (0.0, 0.0) if whole.group_count > 1 else None)  # of a model over itself
    return mean_paired_difference(
        whole, whole.correct - np.mean([one.correct for one in members], axis=0), resamples
    )


def mean_paired_difference(
    scores: Scores, differences: NDArray[np.float64], resamples: int = 2000
) -> Estimate:
    """Compute the mean of differences between two predictions of each slice, with its interval.

    Parameters
    ----------
    scores
        Predictions whose groups are resampled.
    differences
        One of each slice, (n,), from -1 to 1.
    resamples
        Of the bootstrap over groups.

    Returns
    -------
    Estimate
        The mean, with its percentile interval over groups; no interval for fewer than two groups.
    """
    sums = group_sums(scores, np.stack([differences, np.ones(len(scores))], axis=1))
    draws = group_draws(scores.group_count, len(scores), resamples, seed=0)
    totals = np.concatenate([draw @ sums for draw in draws])
    value, samples = float(differences.mean()), totals[:, 0] / totals[:, 1]
    return with_interval(value, mean_interval(value, samples, scores.group_count, low=-1, high=1))


def mcnemar_test(first: Bools, second: Bools) -> tuple[int, int, float]:
    """Run McNemar's exact test of two classifiers on the same slices.

    Parameters
    ----------
    first, second
        Whether each classifier is correct, bool (n,).

    Returns
    -------
    only_first, only_second : int
        Slices that only the first, and only the second, classifies correctly.
    p : float
        Two-sided p-value of an even division of these discordant slices; 1 where there are none.

    References
    ----------
    McNemar, Psychometrika 12:153, 1947.

    Examples
    --------
    >>> mcnemar_test(np.array([True, True, True, False]), np.array([False, False, False, False]))
    (3, 0, 0.25)
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return only_first, only_second, p


def sign_flip_test(differences: NDArray[np.float64], seed: int = 0) -> float:
    """Run Fisher's randomisation test, which flips the sign of each group's difference at random.

    With groups of one slice this is McNemar's test, up to the random draws. Of these there are FLIPS, and the
    observed signs count as one more, so p is at least 1 / (FLIPS + 1).

    Parameters
    ----------
    differences
        Correct predictions of one classifier less those of another, summed within each group, (groups,).
    seed
        Of the random signs.

    Returns
    -------
    float
        Two-sided p-value.

    References
    ----------
    Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9:39, 2010.
    """
    telling = differences[differences != 0]
    if not len(telling):
        return 1.0
    coins = np.random.default_rng((_STREAM, seed)).integers(0, 2, (FLIPS, len(telling)), dtype=np.int8)
    signs = 2 * coins - 1
    extreme = np.abs(signs @ telling) >= abs(telling.sum())
    return float((1 + extreme.sum()) / (FLIPS + 1))


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down method, which controls the family-wise error rate.

    References
    ----------
    Holm, Scand. J. Stat. 6:65, 1979.

    Examples
    --------
    >>> holm_correction([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    adjusted = np.empty(len(p))
    adjusted[order] = steps
    return adjusted.tolist()


def _against(best: Scores, other: Scores) -> AgainstBest:
    """Compare one model with the best; p-values are not yet corrected."""
    best_only, this_only, p = mcnemar_test(best.correct, other.correct)
    difference = best.correct.astype(np.float64) - other.correct
    p_groups = sign_flip_test(group_sums(best, difference[:, None])[:, 0])
    repeated = best.count_distinct() < len(best)
    p = p_groups if repeated else p
    return AgainstBest(
        best_only=best_only, this_only=this_only, p=p, p_groups=p_groups, p_holm=p, p_groups_holm=p_groups
    )


def _check_paired(scores: Mapping[str, Scores]) -> None:
    first_name, first = next(iter(scores.items()))
    for name, other in scores.items():
        if other.classes != first.classes:
            raise ValueError(f"expected {name} to have the classes of {first_name} but got {other.classes}")
        for what in ("labels", "group_codes"):
            if not np.array_equal(getattr(first, what), getattr(other, what)):
                raise ValueError(f"expected {name} to have the {what} of {first_name} but they differ")
