"""95 % intervals from resampled groups.

Slices of one group (a patient, copies of one image) are not independent, so whole groups are drawn with
replacement: the cluster bootstrap (Field & Welsh 2007, J. R. Stat. Soc. B 69:369).

How the resampled values become an interval depends on the number:

- Shares (accuracy, recall, F1, AUROC …: from 0 to 1, and 1 is perfect) get the exact binomial interval
  (Clopper & Pearson 1934) at the effective sample size that the bootstrap's variance implies
  (Korn & Graubard 1998, Survey Methodology 24:193). The plain percentile interval holds its 95 % only
  where errors are many; with the handful that a good model makes, it can fall below 90 %.
  The effective sample size lies between 1 and the number of slices: groups whose slices err in turn do not
  make more of them. Where the value is perfect, or resamples do not vary at all, the interval would be
  everything or have no width; here the number of groups becomes the sample size, and what resamples show is
  joined to it.
- Errors (ECE, Brier: 0 is perfect) get the percentile interval joined with its mirror image around the
  value. ECE sums absolute values, so it is too high in small samples, and resamples are higher again. A
  calibrated model shows such an error by chance alone, so what chance shows as well has 0 as its low end.
  Where every slice is right, resamples show nothing of the errors there may be: as many as the exact binomial
  interval of the groups leaves open (Hanley & Lippman-Hand 1983, JAMA 249:1743) are joined to it.
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
    """Yield blocks of resamples, together (resamples, groups): how often each group was drawn.

    `slices` only sets the size of the blocks, so that what a caller spreads over slices fits in memory.
    """
    rng = np.random.default_rng((_STREAM, seed))
    step = max(1, _BLOCK // max(groups, slices))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=size).astype(np.float64)


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """Exact binomial interval (Clopper & Pearson 1934), by beta quantiles, so both may be fractions."""
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
    """Interval of a share, from its values on resamples (resamples,), NaN where undefined.

    units: independent groups behind the number: the sample size where resamples do not vary. None with fewer
    than two: one group shows no spread. slices: how many slices are behind it, each once, where that is
    known: the effective sample size is no more than that. freedom: degrees of freedom of the variance, by
    default units - 1. inflation: what the variance of resamples is multiplied by, see
    `small_sample_inflation`.
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
    """How much too small the bootstrap's variance of a mean over classes is, where a class has few groups.

    samples: each class's values on resamples, (resamples, classes), NaN where undefined; units: groups behind
    each, (classes,). Of m groups, resamples vary by (m - 1) / m of what new groups would (Davison & Hinkley
    1997, section 2.3); classes count by their share of the variance. Between 1 and 2.
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
    """Interval of an error score (0 is perfect), from its values on resamples; None as above.

    most: the highest value there can be. chance: values that resamples of a perfect model would show,
    (resamples,), where there are such. alike: whether all slices are right or all wrong, so that resamples
    cannot show how many are not.
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
    value: float, samples: NDArray[np.float64], groups: int, low: float, high: float
) -> Interval:
    """Percentile interval of a mean of values from `low` to `high`, from its values on resamples.

    Where resamples do not vary, what the groups leave open is joined to it, as above; None as above.
    """
    if groups < 2 or not np.isfinite(value):
        return None
    first, last = np.quantile(samples, [TAIL, 1 - TAIL]).tolist()
    if samples.var() < _ROUNDING:
        unseen = 1 - clopper_pearson(groups, groups)[0]
        first, last = value - unseen * (value - low), value + unseen * (high - value)
    return min(first, value), max(last, value)


def with_interval(value: float, interval: Interval) -> Estimate:
    """Join a number and its interval; what is undefined becomes None."""
    low, high = interval or (None, None)
    return Estimate(value=float(value), low=low, high=high)
