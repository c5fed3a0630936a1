"""Whether a probability means what it says, and the temperature that brings it nearer to that."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.intervals import TAIL, error_interval, with_interval
from gliascope.evaluation.replicates import (
    ECE_BINS,
    Floats,
    chance_over_models,
    confidence_bin,
    mean_over_models,
    model_bins,
    resampled_sums,
)
from gliascope.evaluation.scores import Scores

TEMPERATURES = (0.05, 20.0)
_TINY = np.finfo(np.float64).eps
# The highest each error can be; of probabilities cut at _TINY.
_MOST = {"ece": 1.0, "adaptive_ece": 1.0, "classwise_ece": 1.0, "nll": -float(np.log(_TINY)), "brier": 2.0}


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64], groups: int) -> float:
    """The number that logits (n, classes) are divided by so that they fit labels (n,) best, in TEMPERATURES.

    Temperature scaling (Guo et al., ICML 2017): one number, which changes no order of classes. Fitted by the
    likelihood, with targets that give 1 / (groups + 2) to the wrong classes: by the rule of succession as
    much as is not known of a model that made no mistake in so many groups. Without it, such a model would
    come out as sure as arithmetic allows.
    """
    from scipy.optimize import minimize_scalar

    scaled = logits.astype(np.float64)
    n, count = scaled.shape
    doubt = 1 / (groups + 2)
    target = np.full((n, count), doubt / (count - 1))
    target[np.arange(n), labels] = 1 - doubt

    def loss(log_temperature: float) -> float:
        divided = scaled / np.exp(log_temperature)
        return float(-(target * (divided - np.logaddexp.reduce(divided, axis=1, keepdims=True))).sum() / n)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def evaluate_calibration(scores: Scores, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """{ece, adaptive_ece, classwise_ece, nll, brier}, each {value, low, high} over groups; and two more.

    confidence: mean probability of the predicted class; below accuracy, the model is too modest.
    ece_by_chance: of `ece_by_chance`.
    ece: 15 equal-width bins of the top confidence (Guo et al. 2017); adaptive_ece: 15 bins of equally many
    slices (Nixon et al., CVPR workshops 2019); classwise_ece: 15 equal-width bins of each class's own
    probability, mean over classes (Kull et al., NeurIPS 2019). nll: mean negative logarithm of the truth's
    probability, which is cut at the smallest a float tells from 1. brier: sum over classes, 0 to 2.
    Of several models, the three calibration errors are the mean over models, each with bins of its own.
    """
    alike = bool(scores.correct.all() or not scores.correct.any())
    found = {}
    for name, columns in _columns(scores):
        sums, total = resampled_sums(scores, columns, resamples, seed), columns.sum(axis=0)
        if name in ("nll", "brier"):
            value, samples, chance = total[0] / total[1], sums[:, 0] / sums[:, 1], None
        else:
            # Bins of each class in turn; the mean over classes is that over all of them.
            parts = scores.model_count * (columns.shape[1] // (scores.model_count * (1 + ECE_BINS)))
            value, samples = mean_over_models(total, parts), mean_over_models(sums, parts)
            chance = chance_over_models(sums, parts)
        interval = error_interval(
            float(value), samples, scores.group_count, _MOST[name], chance=chance, alike=alike
        )
        found[name] = with_interval(float(value), interval)
    return {
        "confidence": float(scores.confidences.mean()),
        "ece_by_chance": ece_by_chance(scores.confidences, resamples, seed, scores.model_codes),
        **found,
    }


def ece_by_chance(
    confidences: Floats, resamples: int = 2000, seed: int = 0, models: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """The ECE of so many slices if their confidences (n,) were exact: its mean, and where 95 % of draws lie.

    Consistency resampling (Bröcker & Smith, Weather Forecast. 22:651, 2007): each slice is right with the
    probability that it is said to be. What is within is no evidence of bad calibration; slices that are right
    and wrong together, as those of a patient may be, would widen it. models: which model each is of, (n,),
    numbered from 0; of several, the mean of their ECE.
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
    return {"value": float(np.mean(values)), "low": low, "high": high}


def _columns(scores: Scores) -> Iterator[tuple[str, Floats]]:
    """By error, what adds up over slices, (n, k): how far right answers outnumber confidence in each bin.

    Of nll and brier: the error, and 1.
    """
    n, count = scores.probabilities.shape
    truth, one = np.eye(count)[scores.labels], np.ones(n)
    gap = scores.correct - scores.confidences
    yield "ece", model_bins(scores, gap, confidence_bin(scores.confidences, ECE_BINS))
    equal = np.empty(n, dtype=np.int64)
    for rows in scores.by_model:
        equal[rows[np.argsort(scores.confidences[rows], kind="stable")]] = (
            np.arange(len(rows)) * ECE_BINS // len(rows)
        )
    yield "adaptive_ece", model_bins(scores, gap, equal)
    own = [
        model_bins(scores, truth[:, index] - column, confidence_bin(column, ECE_BINS))
        for index, column in enumerate(scores.probabilities.T)
    ]
    yield "classwise_ece", np.concatenate(own, axis=1)
    yield (
        "nll",
        np.stack([-np.log(scores.probabilities[np.arange(n), scores.labels].clip(_TINY)), one], axis=1),
    )
    yield "brier", np.stack([((scores.probabilities - truth) ** 2).sum(axis=1), one], axis=1)
