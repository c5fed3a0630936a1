"""Operating points: sensitivity at a fixed specificity, and the reverse.

The question is tumour or no tumour, whatever its kind. The score is the summed probability of all tumour
classes; a slice is called a tumour where the score reaches the threshold.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.classes import NO_TUMOR
from gliascope.evaluation.curves import counts_by_threshold, resampled_counts
from gliascope.evaluation.defined import Floats, mean_defined
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import group_draws, share_interval, with_interval
from gliascope.evaluation.replicates import group_sums
from gliascope.evaluation.scores import Scores

HELD_RATE = 0.95
HELD_QUANTITIES = ("specificity", "sensitivity")
_ROUNDING = 1e-9


class ChosenThreshold(FrozenModel):
    """A threshold chosen on validation slices, with its sensitivity and specificity on test slices."""

    threshold: float
    sensitivity: Estimate
    specificity: Estimate


class OperatingPoint(FrozenModel):
    """The best value of one rate (sensitivity or specificity) while the other is held at a level."""

    level: float = Field(description="that the held rate has at least")
    value: Estimate = Field(
        description="the best of the other rate that any threshold has on the test slices"
    )
    threshold: float | None = Field(
        description="that has it; null of several models, each of which has its own"
    )
    chosen: ChosenThreshold | None = Field(
        description="null of several models, and without validation slices"
    )


class OperatingPoints(FrozenModel):
    """Tumour or no tumour, at two operating points."""

    specificity: OperatingPoint = Field(description="specificity is held; the value is the sensitivity")
    sensitivity: OperatingPoint = Field(description="sensitivity is held; the value is the specificity")


def operating_points(
    test: Scores, validation: Scores | None = None, resamples: int = 2000, seed: int = 0
) -> OperatingPoints | None:
    """Find both operating points.

    The interval of each finds the threshold anew on each resample of groups. `value` is optimistic, because
    its threshold is chosen on the test set; `chosen` has a threshold from the validation set, as a user
    would.

    Parameters
    ----------
    test
        The predictions of a test set. Where several models were tested, `value` is the mean over the models
        that have slices with and without a tumour, and `threshold` and `chosen` are None.
    validation
        Predictions of the same model for the slices to choose a threshold on.
    resamples, seed
        Of the bootstrap over groups.

    Returns
    -------
    OperatingPoints or None
        None where there is no class `no_tumor`, or where all slices or none show a tumour.
    """
    sides = tumour_scores(test)
    if sides is None:
        return None
    score, tumour = sides
    models = test.rankable_rows(tumour)
    if not models:
        return None
    alone = test.model_count == 1
    known = None if validation is None or not alone else tumour_scores(validation)
    resampled = [
        [
            mean_defined(np.stack([_held(up, down, aim)[0] for up, down in counts], axis=1))
            for aim in HELD_QUANTITIES
        ]
        for counts in resampled_counts(test, score, tumour, resamples=resamples, seed=seed)
    ]
    points = {}
    for aim, samples in zip(HELD_QUANTITIES, np.concatenate(resampled, axis=1), strict=True):
        best = [_best(score[rows], tumour[rows], aim) for rows in models]
        value = float(np.mean([of_model for of_model, _ in best]))
        # Both sides bear on it: one sets the threshold, the other is counted.
        interval = share_interval(
            value, samples, min(test.count_groups_by_side(tumour)), test.count_distinct()
        )
        points[aim] = OperatingPoint(
            level=HELD_RATE,
            value=with_interval(value, interval),
            threshold=best[0][1] if alone else None,
            chosen=known
            and _applied(test, score, tumour, _best(*known, aim)[1], resamples=resamples, seed=seed),
        )
    return OperatingPoints(**points)


def tumour_scores(scores: Scores) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Return the probability of a tumour of any kind, and whether there is one.

    Returns
    -------
    tuple of numpy.ndarray or None
        float64 (n,) and bool (n,). None where there is no class `no_tumor`, or where all slices or none show
        a tumour.
    """
    if NO_TUMOR not in scores.classes:
        return None
    absent = scores.classes.index(NO_TUMOR)
    tumour = scores.labels != absent
    if tumour.all() or not tumour.any():
        return None
    # The sum of the others, and not 1 - p: that would round what is nearly sure to a tie.
    return np.delete(scores.probabilities, absent, axis=1).sum(axis=1), tumour


def _best(score: Floats, tumour: NDArray[np.bool_], aim: str) -> tuple[float, float]:
    """Return the highest sensitivity at the fixed specificity (or the reverse), and its threshold."""
    up, down = counts_by_threshold(score, tumour, np.ones((1, len(score))))
    value, place = _held(up, down, aim)
    thresholds = np.unique(score)[::-1]
    # Without any threshold that fits, none is called a tumour.
    threshold = float(thresholds[place[0]]) if place[0] >= 0 else float(np.nextafter(thresholds[0], np.inf))
    return float(value[0]), threshold


def _held(up: Floats, down: Floats, aim: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return each resample's best value of one rate while the other is held, and the threshold's index.

    The value is NaN where a side has no weight; index -1 stands for a threshold above all scores.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = up / up[:, -1:]
        specificity = 1 - down / down[:, -1:]
    if aim == "specificity":
        # The lower the threshold, the more is found: the last that holds. Above all scores, nothing is.
        place = (specificity >= HELD_RATE - _ROUNDING).sum(axis=1) - 1
        wanted, otherwise = sensitivity, 0.0
    else:
        # The first that holds; the lowest threshold calls all a tumour, and so holds always.
        place = np.argmax(sensitivity >= HELD_RATE - _ROUNDING, axis=1)
        wanted, otherwise = specificity, 0.0
    values = np.where(place >= 0, wanted[np.arange(len(up)), place], otherwise)
    undefined = (up[:, -1] <= 0) | (down[:, -1] <= 0)
    return np.where(undefined, np.nan, values), place.astype(np.int64)


def _applied(
    test: Scores, score: Floats, tumour: NDArray[np.bool_], threshold: float, *, resamples: int, seed: int
) -> ChosenThreshold:
    """Sensitivity and specificity on a test set at a threshold that was chosen elsewhere."""
    called = score >= threshold
    columns = np.stack([tumour, tumour & called, ~tumour, ~tumour & ~called], axis=1).astype(np.float64)
    sums = group_sums(test, columns)
    draws = np.concatenate([d @ sums for d in group_draws(test.group_count, len(test), resamples, seed)])
    positives, negatives = test.count_groups_by_side(tumour)
    return ChosenThreshold(
        threshold=threshold,
        sensitivity=_share(columns.sum(axis=0)[:2], draws[:, :2], positives, test.count_distinct(tumour)),
        specificity=_share(columns.sum(axis=0)[2:], draws[:, 2:], negatives, test.count_distinct(~tumour)),
    )


def _share(counts: Floats, samples: Floats, groups: int, slices: int) -> Estimate:
    value = float(counts[1] / counts[0])
    undefined = np.full(len(samples), np.nan)
    shares = np.divide(samples[:, 1], samples[:, 0], out=undefined, where=samples[:, 0] > 0)
    return with_interval(value, share_interval(value, shares, groups, slices))
