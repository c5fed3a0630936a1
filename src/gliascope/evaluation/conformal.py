"""Coverage and size of prediction sets on a test set."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import (
    group_draws,
    mean_interval,
    share_interval,
    with_interval,
)
from gliascope.evaluation.replicates import resampled_sums
from gliascope.evaluation.scores import Scores


class SetMetrics(FrozenModel):
    """Coverage and size of prediction sets on a test set. Intervals are over groups."""

    coverage: Estimate = Field(
        description="share of sets that hold the truth, every group counting alike, as for one slice of each"
    )
    of_slices: float = Field(description="coverage, every slice counting alike")
    per_class: dict[str, float | None] = Field(
        description="coverage by true class, every slice counting alike; null for a class without slices"
    )
    size: Estimate = Field(description="mean number of classes in a set")
    sizes: tuple[int, ...] = Field(description="how many sets are of 0, 1, 2 … classes")


def evaluate_sets(
    scores: Scores, sets: NDArray[np.bool_], resamples: int = 2000, seed: int = 0
) -> SetMetrics:
    """Measure coverage and size of prediction sets.

    Parameters
    ----------
    scores
        The predictions of n slices.
    sets
        Which classes are in the set of each slice, bool (n, classes).
    resamples, seed
        Of the bootstrap over groups.
    """
    n, count = sets.shape
    covered = sets[np.arange(n), scores.labels].astype(np.float64)
    size = sets.sum(axis=1).astype(np.float64)
    shares = np.bincount(scores.group_codes, covered) / np.bincount(scores.group_codes)
    sampled = resampled_sums(scores, np.stack([np.ones(n), size], axis=1), resamples, seed)
    sizes = mean_interval(size.mean(), sampled[:, 1] / sampled[:, 0], scores.group_count, low=0, high=count)
    drawn = np.concatenate([draws @ shares for draws in group_draws(scores.group_count, n, resamples, seed)])
    coverage = float(shares.mean())
    return SetMetrics(
        coverage=with_interval(
            coverage,
            share_interval(coverage, drawn / scores.group_count, scores.group_count, scores.count_distinct()),
        ),
        of_slices=float(covered.mean()),
        per_class={
            label: float(covered[scores.labels == index].mean()) if (scores.labels == index).any() else None
            for index, label in enumerate(scores.classes)
        },
        size=with_interval(float(size.mean()), sizes),
        sizes=np.bincount(size.astype(np.int64), minlength=count + 1).tolist(),
    )
