"""95 % intervals from resampled groups.

Slices of one group (a patient, copies of one image) are not independent, so whole groups are drawn with
replacement: the cluster bootstrap (Field & Welsh 2007, J. R. Stat. Soc. B 69:369).

How the resampled values become an interval depends on the number:

- Shares (accuracy, recall, F1, AUROC …: from 0 to 1, and 1 is perfect) get the exact binomial interval
  (Clopper & Pearson 1934) at the effective sample size that the bootstrap's variance implies
  (Korn & Graubard 1998, Survey Methodology 24:193). The plain percentile interval holds its 95 % only
  where errors are many; with the handful that a good model makes, it can fall below 90 %.
  Where the value is perfect, or resamples do not vary at all, it would be everything or have no width; here
  the number of groups becomes the sample size, and what resamples show is joined to it.
- Errors (ECE, Brier: 0 is perfect) get the percentile interval joined with its mirror image around the
  value. ECE sums absolute values, so it is too high in small samples, and resamples are higher again.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

TAIL = 0.025
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


def share_interval(value: float, samples: NDArray[np.float64], units: int) -> Interval:
    """Interval of a share, from its values on resamples (resamples,), NaN where undefined.

    units: independent groups behind the number. It sets the degrees of freedom of the variance, and is the
    sample size where resamples do not vary. None with fewer than two: one group shows no spread.
    """
    from scipy.special import stdtrit

    if units < 2 or not np.isfinite(value):
        return None
    finite = samples[np.isfinite(samples)]
    variance = float(finite.var()) if len(finite) else 0.0
    if variance < 1e-18 or value in (0, 1):  # rounding, not spread; or nothing a binomial share could spread
        low, high = clopper_pearson(value * units, units)
        # The best over thresholds may vary, perfect as it is.
        least, most = np.quantile(np.append(finite, value), [TAIL, 1 - TAIL])
        return min(low, float(least)), max(high, float(most))
    # A variance known from few groups is itself uncertain: Korn & Graubard's factor (z / t)².
    normal, student = stdtrit(np.inf, 1 - TAIL), stdtrit(units - 1, 1 - TAIL)
    effective = value * (1 - value) / variance * float(normal / student) ** 2
    return clopper_pearson(value * effective, effective)


def error_interval(value: float, samples: NDArray[np.float64], units: int) -> Interval:
    """Interval of an error score (0 is perfect), from its values on resamples; None as above."""
    if units < 2 or not np.isfinite(value):
        return None
    low, high = np.quantile(samples[np.isfinite(samples)], [TAIL, 1 - TAIL])
    return max(0.0, float(min(low, 2 * value - high))), float(max(high, 2 * value - low))


def with_interval(value: float, interval: Interval) -> dict[str, float | None]:
    """{value, low, high} for JSON; None for what is undefined."""
    low, high = interval or (None, None)
    return {"value": float(value) if np.isfinite(value) else None, "low": low, "high": high}
