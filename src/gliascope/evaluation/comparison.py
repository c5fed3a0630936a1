"""Models that answered the same slices, against the best of them."""

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
    """A model against the most accurate one, on the same slices."""

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
    """One of the models that are compared. against_best: None of the best itself."""

    name: str
    result: Metrics
    against_best: AgainstBest | None


def compare_scores(scores: Mapping[str, Scores], resamples: int = 2000) -> list[RankedModel]:
    """Rank models, the most accurate first; of equals, the higher balanced accuracy, then the order given.

    The best is found on the same slices, which favours it. Raises ValueError where labels, groups or classes
    differ: then nothing is paired.
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
    """How much more accurate one is than others are on average, on the same slices: {value, low, high}.

    The interval is the percentiles of the difference over resampled groups; None for fewer than two groups.
    Raises ValueError where labels, groups or classes differ.
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
    """Mean of a difference between two answers to each slice, (n,), from -1 to 1: {value, low, high}.

    The interval is the percentiles over resampled groups of `scores`; None for fewer than two groups.
    """
    sums = group_sums(scores, np.stack([differences, np.ones(len(scores))], axis=1))
    draws = group_draws(scores.group_count, len(scores), resamples, seed=0)
    totals = np.concatenate([draw @ sums for draw in draws])
    value, samples = float(differences.mean()), totals[:, 0] / totals[:, 1]
    return with_interval(value, mean_interval(value, samples, scores.group_count, -1, 1))


def mcnemar_test(first: Bools, second: Bools) -> tuple[int, int, float]:
    """McNemar's exact test of two classifiers on the same slices (McNemar 1947, Psychometrika 12:153).

    first, second: whether each is right, (n,). Returns how many slices only the first and only the second
    gets right, and the two-sided p that a fair coin parts these discordant slices so unevenly; 1 where
    there are none.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return only_first, only_second, p


def sign_flip_test(differences: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p of Fisher's randomisation test: the sign of each group's difference is a coin's.

    differences: of two classifiers' right answers, summed within each group, (groups,). With groups of one
    slice this is McNemar's test, but for the random draw: FLIPS of them, and the one observed (Phipson &
    Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39), so p is at least 1 / (FLIPS + 1).
    """
    telling = differences[differences != 0]
    if not len(telling):
        return 1.0
    coins = np.random.default_rng((_STREAM, seed)).integers(0, 2, (FLIPS, len(telling)), dtype=np.int8)
    signs = 2 * coins - 1
    extreme = np.abs(signs @ telling) >= abs(telling.sum())
    return float((1 + extreme.sum()) / (FLIPS + 1))


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Adjust for several tests: the chance of any false alarm is kept (Holm 1979, Scand. J. Stat. 6:65)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    adjusted = np.empty(len(p))
    adjusted[order] = steps
    return adjusted.tolist()


def _against(best: Scores, other: Scores) -> AgainstBest:
    """Two models alone: there is nothing to correct p for."""
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
