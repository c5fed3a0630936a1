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
"""Levels that are deployed, the highest first that the groups can promise."""
_TAIL = 0.025


def groups_needed(level: float) -> int:
    """How many calibration groups it takes for sets at this level that do not always hold all classes."""
    return math.ceil(round(level / (1 - level), 6))


def highest_level(groups: int, wanted: float = LEVELS[0]) -> float:
    """`asked`, or the highest of LEVELS below it that so many calibration groups can promise.

    Where they can promise none, `asked`: sets then hold all classes.
    """
    possible = [level for level in (wanted, *LEVELS) if level <= wanted and groups >= groups_needed(level)]
    return max(possible, default=wanted)


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
        By which the slice of each group is drawn.

    Returns
    -------
    float64 (distinct groups,)
        Ascending, in [0, 1].
    """
    rows = one_slice_per_group(groups, seed)
    return np.sort(1 - probabilities[rows, labels[rows]])


def conformal_quantile(nonconformity: Floats, level: float) -> float:
    """The ⌈(groups + 1) level⌉-th smallest of ascending nonconformity scores (groups,).

    Infinite where there are too few groups for the level: a set then holds all classes.
    """
    rank = _rank(level, len(nonconformity))
    return float(nonconformity[rank - 1]) if rank <= len(nonconformity) else math.inf


def prediction_sets(probabilities: Floats, quantile: float) -> Bools:
    """The classes whose nonconformity is at most `quantile`, bool (n, classes); a set may be empty.

    probabilities: float64 (n, classes), calibrated.
    """
    return np.asarray(1 - probabilities <= quantile)


def coverage_bounds(level: float, calibration_groups: int, test_groups: int) -> tuple[float, float]:
    """Between which shares the coverage of a test lies, 19 times in 20, if its groups are exchangeable.

    The groups that calibrate are drawn by luck, too, so the number of covered test groups is beta-binomial
    (Vovk, Mach. Learn. 92:349, 2013; Angelopoulos & Bates, Found. Trends Mach. Learn. 16:494, 2023), where no
    two scores are equal.

    Parameters
    ----------
    level : float
        Of the sets.
    calibration_groups : int
        How many groups calibrated, each by one slice.
    test_groups : int
        How many groups are tested, each by one slice.

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
