"""Calibration errors: whether probabilities equal the frequency of correct predictions, with intervals."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.binned import (
    ECE_BINS,
    CalibrationGaps,
    Floats,
    binned_error,
    confidence_bin,
    resampled_binned_error,
    top_class_gaps,
)
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import TAIL, error_interval, with_interval
from gliascope.evaluation.replicates import resampled_sums
from gliascope.evaluation.scores import Scores

_TINY = np.finfo(np.float64).eps
# The highest each error can be; of probabilities cut at _TINY.
_MOST = {"ece": 1.0, "adaptive_ece": 1.0, "classwise_ece": 1.0, "nll": -float(np.log(_TINY)), "brier": 2.0}


class CalibrationErrors(FrozenModel):
    """How far probabilities are from observed frequencies. Zero is perfect; intervals are over groups."""

    confidence: float = Field(description="mean probability of the predicted class")
    ece_by_chance: Estimate = Field(
        description="the ECE that a perfectly calibrated model would show: mean, and 95 % of its values"
    )
    ece: Estimate = Field(description="15 equal-width bins of the top confidence (Guo et al. 2017)")
    adaptive_ece: Estimate = Field(description="15 bins of equally many slices (Nixon et al. 2019)")
    classwise_ece: Estimate = Field(
        description="15 equal-width bins of each class's probability, mean over classes (Kull et al. 2019)"
    )
    nll: Estimate = Field(description="mean negative logarithm of the true class's probability")
    brier: Estimate = Field(description="sum over classes, from 0 to 2")


def evaluate_calibration(scores: Scores, resamples: int = 2000, seed: int = 0) -> CalibrationErrors:
    """Compute the calibration errors of a test set, with intervals over groups.

    The negative log-likelihood clips probabilities at the machine epsilon of float64. Where several models
    were tested, the three calibration errors are the mean over models, each with bins of its own.

    Parameters
    ----------
    scores
        The predictions of a test set.
    resamples, seed
        Of the bootstrap over groups.
    """
    alike = bool(scores.correct.all() or not scores.correct.any())

    def number(name: str, value: float, samples: Floats, chance: Floats | None = None) -> Estimate:
        interval = error_interval(
            value, samples, scores.group_count, _MOST[name], chance=chance, all_same=alike
        )
        return with_interval(value, interval)

    found = {}
    for name, parts in _binned(scores).items():
        samples, chance = resampled_binned_error(scores, parts, resamples, seed)
        found[name] = number(name, binned_error(scores, parts), samples, chance)
    losses = _losses(scores)
    columns = np.stack([*losses.values(), np.ones(len(scores))], axis=1)
    sums = resampled_sums(scores, columns, resamples, seed)
    for place, (name, loss) in enumerate(losses.items()):
        found[name] = number(name, float(loss.mean()), sums[:, place] / sums[:, -1])
    return CalibrationErrors(
        confidence=float(scores.confidences.mean()),
        ece_by_chance=ece_by_chance(scores.confidences, resamples, seed, scores.model_codes),
        **found,
    )


def ece_by_chance(
    confidences: Floats, resamples: int = 2000, seed: int = 0, models: NDArray[np.int64] | None = None
) -> Estimate:
    """Estimate the ECE that a perfectly calibrated model would show with these confidences.

    Consistency resampling: in each draw, each slice is correct with a probability of its confidence. An ECE
    within the interval is no evidence of bad calibration. The interval takes slices as independent; slices of
    one patient that are correct or wrong together would widen it.

    Parameters
    ----------
    confidences
        Probability of the predicted class, (n,).
    resamples, seed
        Number of draws, and their seed.
    models
        Code of the model of each slice, int64 (n,), from 0; None for one model. The ECE is the mean over
        models.

    Returns
    -------
    Estimate
        The mean, and the ends between which 95 % of the draws lie.

    References
    ----------
    Bröcker & Smith, Weather and Forecasting 22:651, 2007.
    """
    random = np.random.default_rng(seed)
    codes = np.zeros(len(confidences), dtype=np.int64) if models is None else models
    bins = codes * ECE_BINS + confidence_bin(confidences, ECE_BINS)
    sizes = np.bincount(codes)
    weights = 1 / (sizes * len(sizes))[codes]  # of a slice in the mean over models

    def drawn() -> float:
        gap = ((random.random(len(confidences)) < confidences) - confidences) * weights
        return float(np.abs(np.bincount(bins, gap)).sum())

    values = [drawn() for _ in range(resamples)]
    low, high = np.quantile(values, (TAIL, 1 - TAIL)).tolist()
    return Estimate(value=float(np.mean(values)), low=low, high=high)


def _binned(scores: Scores) -> dict[str, list[CalibrationGaps]]:
    """Gaps and bins of each calibration error: of the predicted class, or of each class in turn."""
    truth = np.eye(len(scores.classes))[scores.labels]
    top = top_class_gaps(scores)
    equal = np.empty(len(scores), dtype=np.int64)
    for rows in scores.rows_by_model:
        order = rows[np.argsort(scores.confidences[rows], kind="stable")]
        equal[order] = np.arange(len(rows)) * ECE_BINS // len(rows)
    own = [
        CalibrationGaps(truth[:, index] - column, confidence_bin(column, ECE_BINS))
        for index, column in enumerate(scores.probabilities.T)
    ]
    return {"ece": [top], "adaptive_ece": [CalibrationGaps(top.gap, equal)], "classwise_ece": own}


def _losses(scores: Scores) -> dict[str, Floats]:
    """The scores that are a mean over slices, (n,) each."""
    n, count = scores.probabilities.shape
    truth = np.eye(count)[scores.labels]
    likelihood = scores.probabilities[np.arange(n), scores.labels].clip(_TINY)
    return {"nll": -np.log(likelihood), "brier": ((scores.probabilities - truth) ** 2).sum(axis=1)}
