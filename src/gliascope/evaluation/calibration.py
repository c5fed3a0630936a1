"""Whether a probability means what it says, and the temperature that brings it nearer to that."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.intervals import TAIL, error_interval, with_interval
from gliascope.evaluation.replicates import ECE_BINS, Floats, confidence_bin, resampled_sums
from gliascope.evaluation.scores import Scores

TEMPERATURES = (0.05, 20.0)
_TINY = np.finfo(np.float64).eps


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
    """
    parts = _columns(scores)
    ends = np.cumsum([part.shape[1] for part in parts.values()])[:-1]

    def numbers(sums: Floats) -> dict[str, Floats]:
        """Of sums over slices (…, columns)."""
        n = sums[..., :1]
        share = dict(zip(parts, np.split(sums / n, ends, axis=-1), strict=True))
        return {
            "ece": np.abs(share["ece"]).sum(axis=-1),
            "adaptive_ece": np.abs(share["adaptive_ece"]).sum(axis=-1),
            "classwise_ece": np.abs(share["classwise_ece"]).sum(axis=-1) / len(scores.classes),
            "nll": share["nll"][..., 0],
            "brier": share["brier"][..., 0],
        }

    columns = np.concatenate(list(parts.values()), axis=1)
    values, samples = numbers(columns.sum(axis=0)), numbers(resampled_sums(scores, columns, resamples, seed))
    return {
        "confidence": float(scores.confidences.mean()),
        "ece_by_chance": ece_by_chance(scores.confidences, resamples, seed),
        **{
            name: with_interval(float(value), error_interval(float(value), samples[name], scores.group_count))
            for name, value in values.items()
        },
    }


def ece_by_chance(confidences: Floats, resamples: int = 2000, seed: int = 0) -> dict[str, float]:
    """The ECE of so many slices if their confidences (n,) were exact: its mean, and where 95 % of draws lie.

    Consistency resampling (Bröcker & Smith, Weather Forecast. 22:651, 2007): each slice is right with the
    probability that it is said to be. What is within is no evidence of bad calibration; slices that are right
    and wrong together, as those of a patient may be, would widen it.
    """
    random = np.random.default_rng(seed)
    bins = confidence_bin(confidences, ECE_BINS)

    def drawn() -> float:
        gap = (random.random(len(confidences)) < confidences) - confidences
        return float(np.abs(np.bincount(bins, gap)).sum()) / len(confidences)

    values = [drawn() for _ in range(resamples)]
    low, high = np.quantile(values, (TAIL, 1 - TAIL)).tolist()
    return {"value": float(np.mean(values)), "low": low, "high": high}


def _columns(scores: Scores) -> dict[str, Floats]:
    """What adds up over slices, (n, k) each: how far right answers outnumber confidence in each bin."""
    n, count = scores.probabilities.shape
    truth = np.eye(count)[scores.labels]
    gap = scores.correct - scores.confidences
    order = np.argsort(scores.confidences, kind="stable")
    equal = np.empty(n, dtype=np.int64)
    equal[order] = np.arange(n) * ECE_BINS // n
    own = [
        _apart(truth[:, index] - column, confidence_bin(column, ECE_BINS))
        for index, column in enumerate(scores.probabilities.T)
    ]
    likelihood = scores.probabilities[np.arange(n), scores.labels].clip(_TINY)
    return {
        "n": np.ones((n, 1)),
        "ece": _apart(gap, confidence_bin(scores.confidences, ECE_BINS)),
        "adaptive_ece": _apart(gap, equal),
        "classwise_ece": np.concatenate(own, axis=1),
        "nll": -np.log(likelihood)[:, None],
        "brier": ((scores.probabilities - truth) ** 2).sum(axis=1, keepdims=True),
    }


def _apart(values: Floats, bins: NDArray[np.int64]) -> Floats:
    """Each value (n,) in the column of its bin, (n, ECE_BINS)."""
    spread = np.zeros((len(values), ECE_BINS))
    spread[np.arange(len(values)), bins] = values
    return spread
