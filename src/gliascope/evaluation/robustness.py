"""Metrics of corrupted slices: how many predictions become wrong, and how many errors are still accepted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.comparison import mean_paired_difference
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import share_interval, with_interval
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.replicates import resampled_sums
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.verdicts import VerdictMetrics, evaluate_verdicts


@dataclass(frozen=True, slots=True)
class VerdictScores:
    """The predictions of a test set, with verdicts.

    Attributes
    ----------
    scores
        The predictions of n slices.
    verdicts
        The verdict of each slice, n of them; None for a model without a calibrator.
    """

    scores: Scores
    verdicts: Sequence[str] | None

    def errors_with_verdict(self, verdict: str) -> NDArray[np.float64]:
        """Mark the slices that have this verdict and a wrong prediction: float64 (n,), 1 or 0."""
        return np.asarray((np.array(self.verdicts) == verdict) & ~self.scores.correct, dtype=np.float64)


class RobustnessMetrics(FrozenModel):
    """Metrics of slices under one corruption at one strength. Intervals are over groups."""

    accuracy: Estimate
    balanced_accuracy: Estimate
    ece: Estimate = Field(description="expected calibration error")
    confidence: float = Field(description="mean probability of the predicted class")
    accuracy_loss: Estimate = Field(
        description="how much accuracy is less than on the slices as they are, paired by slice"
    )
    verdicts: dict[str, VerdictMetrics] | None = Field(description="null for a model that gives no verdicts")
    accepted_errors: Estimate | None = Field(
        description="share of all slices whose answer is accepted and wrong; null without verdicts"
    )
    accepted_errors_increase: Estimate | None = Field(
        description="its increase over the slices as they are, paired by slice; null without verdicts"
    )


def evaluate_corrupted(
    corrupted: VerdictScores, clean: VerdictScores, verdict_names: Sequence[str], resamples: int = 2000
) -> RobustnessMetrics:
    """Compute the metrics of corrupted slices.

    Parameters
    ----------
    corrupted
        Predictions of the corrupted slices.
    clean
        Predictions of the same slices as they are, in the same order.
    verdict_names
        All verdicts that there are, "accepted" first.
    resamples
        Of the bootstrap over groups.
    """
    scores, verdicts = corrupted.scores, corrupted.verdicts
    shares, calibration = evaluate_scores(scores, resamples), evaluate_calibration(scores, resamples)
    found = RobustnessMetrics(
        accuracy=shares.accuracy,
        balanced_accuracy=shares.balanced_accuracy,
        ece=calibration.ece,
        confidence=calibration.confidence,
        accuracy_loss=_more(
            corrupted, clean, clean.scores.correct.astype(np.float64) - scores.correct, resamples
        ),
        verdicts=None,
        accepted_errors=None,
        accepted_errors_increase=None,
    )
    if verdicts is None:
        return found
    past, before = (
        corrupted.errors_with_verdict(verdict_names[0]),
        clean.errors_with_verdict(verdict_names[0]),
    )
    return found.model_copy(
        update={
            "verdicts": evaluate_verdicts(scores, verdicts, verdict_names, resamples=resamples),
            "accepted_errors": _share(scores, past, resamples),
            "accepted_errors_increase": _more(corrupted, clean, past - before, resamples),
        }
    )


def _more(
    corrupted: VerdictScores, clean: VerdictScores, differences: NDArray[np.float64], resamples: int
) -> Estimate:
    """Mean difference, with its interval. It is 0 by definition where slices are compared with themselves."""
    if corrupted is clean:
        return Estimate(value=0.0, low=0.0, high=0.0)
    return mean_paired_difference(corrupted.scores, differences, resamples)


def _share(scores: Scores, member: NDArray[np.float64], resamples: int) -> Estimate:
    """Share of slices for which `member`, (n,) of 0 and 1, is 1."""
    columns = np.stack([member, np.ones(len(scores))], axis=1)
    sums = resampled_sums(scores, columns, resamples, seed=0)
    value = float(member.mean())
    interval = share_interval(value, sums[:, 0] / sums[:, 1], scores.group_count, scores.count_distinct())
    return with_interval(value, interval)
