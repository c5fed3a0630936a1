"""95 % intervals from resampled groups.

Slices of one group (a patient, copies of one image) are not independent, so whole groups are drawn with
replacement: the cluster bootstrap (Field & Welsh 2007, J. R. Stat. Soc. B 69:369).

How the resampled values become an interval depends on the metric:

- Shares (accuracy, recall, F1, AUROC …: from 0 to 1, and 1 is perfect) get the exact binomial interval
  (Clopper & Pearson 1934) at the effective sample size that the bootstrap's variance implies
  (Korn & Graubard 1998, Survey Methodology 24:193). The plain percentile interval reaches its nominal 95 %
  coverage only where errors are many; with the few errors of a good model, coverage can fall below 90 %.
  The effective sample size lies between 1 and the number of slices: negative correlation within groups
  cannot raise it above that. Where the value is perfect, or resamples do not vary at all, the interval would
  be [0, 1] or have no width; then the number of groups is the sample size, and the percentile interval of the
  resamples is joined to the binomial one.
- Errors (ECE, Brier: 0 is perfect) get the percentile interval joined with its mirror image around the
  value. ECE sums absolute values, so it is biased upwards in small samples, and resamples are biased again. A
  calibrated model shows such an error by chance alone, so the low end is 0 where chance explains the value.
  Where every slice is correct, resamples say nothing of the errors that are possible. Then the error that the
  exact binomial interval of the groups leaves open is joined to it (Hanley & Lippman-Hand 1983, JAMA
  249:1743).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.estimate import Estimate

TAIL = 0.025
_ROUNDING = 1e-18  # a variance that is none
_BLOCK = 4_000_000  # numbers held at a time, 32 MB
# Keeps resampling apart from whatever else drew from the same seed: a split or simulated labels that did
# would line up with the first resample.
_STREAM = 0xB007

Interval = tuple[float, float] | None


def group_draws(groups: int, slices: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield bootstrap resamples in chunks that fit in memory.

    Parameters
    ----------
    groups
        Number of groups to draw from, with replacement.
    slices
        Number of slices. It only limits the size of a chunk, as callers expand draws from groups to slices.
    resamples
        Number of resamples.
    seed
        Of the random draws.

    Yields
    ------
    numpy.ndarray
        float64 (some resamples, groups): how often each group was drawn; all chunks together have `resamples`
        rows.
    """
    rng = np.random.default_rng((_STREAM, seed))
    step = max(1, _BLOCK // max(groups, slices))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=size).astype(np.float64)


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """Compute the exact 95 % binomial interval by beta quantiles; both arguments may be fractions.

    References
    ----------
    Clopper & Pearson, Biometrika 26:404, 1934.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    from scipy.special import betaincinv

    failures = trials - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, failures + 1, TAIL))
    high = 1.0 if failures <= 0 else float(betaincinv(successes + 1, failures, 1 - TAIL))
    return low, high


def share_interval(
    value: float,
    samples: NDArray[np.float64],
    groups: int,
    slices: int | None = None,
    *,
    degrees_of_freedom: int | None = None,
    inflation: float = 1.0,
) -> Interval:
    """Compute the interval of a share from its values on resamples.

    Parameters
    ----------
    value
        The share, from 0 to 1, where 1 is perfect.
    samples
        Its values on resamples, (resamples,); NaN where undefined.
    groups
        Number of independent groups behind the share: the sample size where resamples do not vary.
    slices
        Number of distinct slices behind the share, an upper limit of the effective sample size; None for no
        limit.
    degrees_of_freedom
        Of the variance; `groups` - 1 by default.
    inflation
        Factor on the variance of resamples, see `small_sample_inflation`.

    Returns
    -------
    tuple of float or None
        Both ends. None for fewer than two groups, which show no spread, or an undefined value.
    """
    from scipy.special import stdtrit

    if groups < 2 or not np.isfinite(value):
        return None
    finite = samples[np.isfinite(samples)]
    variance = float(finite.var()) if len(finite) else 0.0
    if variance < _ROUNDING or value in (0, 1):  # nothing a binomial share could spread
        low, high = clopper_pearson(value * groups, groups)
        # The best over thresholds may vary, perfect as it is.
        least, most = np.quantile(np.append(finite, value), [TAIL, 1 - TAIL])
        return min(low, float(least)), max(high, float(most))
    # A variance known from few groups is itself uncertain: Korn & Graubard's factor (z / t)².
    normal, student = stdtrit(np.inf, 1 - TAIL), stdtrit(degrees_of_freedom or groups - 1, 1 - TAIL)
    effective = value * (1 - value) / (inflation * variance) * float(normal / student) ** 2
    effective = max(min(effective, np.inf if slices is None else slices), 1.0)
    return clopper_pearson(value * effective, effective)


def small_sample_inflation(samples: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Compute by how much the bootstrap underestimates the variance of a mean over classes with few groups.

    Of m groups, resamples vary by (m - 1) / m of what new groups would. Classes count by their share of the
    variance.

    Parameters
    ----------
    samples
        Each class's values on resamples, (resamples, classes); NaN where undefined.
    groups
        Number of groups behind each class, (classes,).

    Returns
    -------
    float
        Factor on the variance, between 1 and 2.

    References
    ----------
    Davison & Hinkley, Bootstrap Methods and Their Application, section 2.3, 1997.
    """
    known = (groups > 0) & np.isfinite(samples).any(axis=0)
    variances = np.array([column[np.isfinite(column)].var() for column in samples[:, known].T])
    few = np.maximum(groups[known], 2)
    if not len(few) or not variances.sum() > _ROUNDING:
        return 1.0
    return float((variances * few / (few - 1)).sum() / variances.sum())


def error_interval(
    value: float,
    samples: NDArray[np.float64],
    groups: int,
    maximum: float = 1.0,
    *,
    chance: NDArray[np.float64] | None = None,
    all_same: bool = False,
) -> Interval:
    """Compute the interval of an error score (0 is perfect) from its values on resamples.

    Parameters
    ----------
    value
        The error score.
    samples
        Its values on resamples, (resamples,); NaN where undefined.
    groups
        Number of independent groups behind it.
    maximum
        The highest possible value.
    chance
        Values on resamples of a perfectly calibrated model, (resamples,); None where this does not apply.
    all_same
        Whether all slices are correct or all are wrong, so that resamples cannot vary in that.

    Returns
    -------
    tuple of float or None
        Both ends. None for fewer than two groups or an undefined value.
    """
    finite = samples[np.isfinite(samples)]
    if groups < 2 or not np.isfinite(value) or not len(finite):
        return None
    ends = np.quantile(finite, [TAIL, 1 - TAIL])
    low, high = float(min(*ends, 2 * value - ends[1])), float(max(*ends, 2 * value - ends[0]))
    if all_same or finite.var() < _ROUNDING:
        unseen = maximum * (1 - clopper_pearson(groups, groups)[0])
        low, high = min(low, value - unseen), max(high, value + unseen)
    if chance is not None and value <= np.quantile(chance[np.isfinite(chance)], 1 - TAIL):
        low = 0.0
    return min(max(low, 0.0), value), max(min(high, maximum), value)


def mean_interval(
    value: float, samples: NDArray[np.float64], groups: int, *, low: float, high: float
) -> Interval:
    """Compute the percentile interval of a mean of bounded values from its values on resamples.

    Where resamples do not vary, the interval is what so many groups leave open.

    Parameters
    ----------
    value
        The mean.
    samples
        Its values on resamples, (resamples,).
    groups
        Number of independent groups behind it.
    low, high
        Bounds of the values that are averaged.

    Returns
    -------
    tuple of float or None
        Both ends. None for fewer than two groups or an undefined value.
    """
    if groups < 2 or not np.isfinite(value):
        return None
    first, last = np.quantile(samples, [TAIL, 1 - TAIL]).tolist()
    if samples.var() < _ROUNDING:
        unseen = 1 - clopper_pearson(groups, groups)[0]
        first, last = value - unseen * (value - low), value + unseen * (high - value)
    return min(first, value), max(last, value)


def with_interval(value: float, interval: Interval) -> Estimate:
    """Combine a number and its interval; undefined numbers become None."""
    low, high = interval or (None, None)
    return Estimate(value=float(value), low=low, high=high)
