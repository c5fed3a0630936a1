"""Prediction sets by split conformal prediction, with the LAC score, calibrated on one slice a group.

The set of a new slice holds its true class with the stated probability (the level), whatever the model, as
long as calibration and new slices are exchangeable (Papadopoulos et al., ECML 2002; Vovk et al. 2005). Slices
of one patient are not exchangeable with those of others, so each group gives one slice, and the promise is
for a slice of a new group. It does not hold for another scanner or hospital.

LAC (least ambiguous set-valued classifier; Sadinle, Lei & Wasserman, J. Am. Stat. Assoc. 114:223, 2019): the
nonconformity score of a class is 1 - its probability, and the set holds every class whose score is at most
a quantile of the calibration slices' scores of their true classes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVELS = (0.99, 0.95, 0.9)
"""Levels of deployed models: the highest one is taken for which there are enough calibration groups."""
_TAIL = 0.025


def groups_needed(level: float) -> int:
    """Least number of calibration groups with which sets at this level need not hold all classes.

    Examples
    --------
    >>> groups_needed(0.95)
    19
    """
    return math.ceil(round(level / (1 - level), 6))


def highest_level(groups: int, requested: float = LEVELS[0]) -> float:
    """Choose the highest level, of `requested` and the lower LEVELS, that needs at most so many groups.

    Where even the lowest level needs more groups, `requested` is returned; sets then hold all classes.

    Examples
    --------
    >>> highest_level(19)
    0.95
    """
    possible = [
        level for level in (requested, *LEVELS) if level <= requested and groups >= groups_needed(level)
    ]
    return max(possible, default=requested)


def one_slice_per_group(groups: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Draw one slice of each group: ascending row numbers, int64 (distinct groups,), for `groups` (n,)."""
    order = np.random.default_rng(seed).permutation(len(groups))
    first = np.unique(groups[order], return_index=True)[1]
    return np.asarray(np.sort(order[first]), dtype=np.int64)


def fit_nonconformity(
    probabilities: Floats, labels: NDArray[np.int64], groups: NDArray[Any], seed: int = 0
) -> Floats:
    """Nonconformity scores of the true class of one slice a group.

    Parameters
    ----------
    probabilities : float64 (n, classes)
        Calibrated, of slices that the model did not train on.
    labels : int64 (n,)
        The true class of each slice.
    groups : int64 or str (n,)
        Equal for slices of one group (patient).
    seed : int
        Of the random choice of one slice a group.

    Returns
    -------
    float64 (distinct groups,)
        Ascending, in [0, 1].
    """
    rows = one_slice_per_group(groups, seed)
    return np.sort(1 - probabilities[rows, labels[rows]])


def conformal_quantile(nonconformity: Floats, level: float) -> float:
    """The ⌈(groups + 1) level⌉-th smallest of nonconformity scores (groups,), which are ascending.

    It is infinite where there are too few groups for the level: a set then holds all classes.
    """
    rank = _rank(level, len(nonconformity))
    return float(nonconformity[rank - 1]) if rank <= len(nonconformity) else math.inf


def prediction_sets(probabilities: Floats, quantile: float) -> Bools:
    """Collect the classes whose nonconformity score is at most `quantile`; a set may be empty.

    Parameters
    ----------
    probabilities : float64 (n, classes)
        Calibrated.
    quantile : float
        From `conformal_quantile`.

    Returns
    -------
    bool (n, classes)
        Whether the set of a slice holds a class.
    """
    return np.asarray(1 - probabilities <= quantile)


def coverage_bounds(level: float, calibration_groups: int, test_groups: int) -> tuple[float, float]:
    """Bounds between which a test's coverage lies 19 times in 20, if all groups are exchangeable.

    The calibration groups are a random sample, too, so the number of covered test groups is beta-binomial
    (Vovk, Mach. Learn. 92:349, 2013; Angelopoulos & Bates, Found. Trends Mach. Learn. 16:494, 2023), where no
    two scores are equal.

    Parameters
    ----------
    level : float
        Of the sets.
    calibration_groups : int
        Number of calibration groups, each with one slice.
    test_groups : int
        Number of test groups, each with one slice.

    Returns
    -------
    float, float
        Lowest and highest share of covered test groups; 1 and 1 where sets hold all classes.
    """
    from scipy.stats import betabinom

    above = (
        calibration_groups + 1 - _rank(level, calibration_groups)
    )  # calibration scores above the quantile, and one more
    if above < 1:
        return 1.0, 1.0
    covered = betabinom(test_groups, calibration_groups + 1 - above, above)
    return float(covered.ppf(_TAIL) / test_groups), float(covered.ppf(1 - _TAIL) / test_groups)


def _rank(level: float, groups: int) -> int:
    # Rounded first: 0.95 × 20 may come out a little above 19.
    return max(1, math.ceil(round((groups + 1) * level, 9)))
