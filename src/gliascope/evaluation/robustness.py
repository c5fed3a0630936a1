"""What a disturbance does to answers: how many go wrong, and how many of these are accepted all the same."""

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
    """Answers to a test set. verdicts: of each slice, or None where there is no Calibrator."""

    scores: Scores
    verdicts: Sequence[str] | None

    def errors_with_verdict(self, verdict: str) -> NDArray[np.float64]:
        """1 where a slice has this verdict and the answer is wrong, else 0; (n,)."""
        return np.asarray((np.array(self.verdicts) == verdict) & ~self.scores.correct, dtype=np.float64)


class RobustnessMetrics(FrozenModel):
    """Numbers of slices under one corruption. Intervals are over groups."""

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
    """Compute the numbers of corrupted slices.

    clean: answers to the same slices, in the same order, as they are. kinds: the verdicts there are, that of
    an answer to go by first.
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
            "verdicts": evaluate_verdicts(scores, verdicts, verdict_names, resamples),
            "accepted_errors": _share(scores, past, resamples),
            "accepted_errors_increase": _more(corrupted, clean, past - before, resamples),
        }
    )


def _more(
    disturbed: VerdictScores, clean: VerdictScores, differences: NDArray[np.float64], resamples: int
) -> Estimate:
    """Mean difference; of slices as they are from themselves, there is none by definition."""
    if disturbed is clean:
        return Estimate(value=0.0, low=0.0, high=0.0)
    return mean_paired_difference(disturbed.scores, differences, resamples)


def _share(scores: Scores, member: NDArray[np.float64], resamples: int) -> Estimate:
    """Share of slices that are members, (n,) of 0 and 1."""
    columns = np.stack([member, np.ones(len(scores))], axis=1)
    sums = resampled_sums(scores, columns, resamples, seed=0)
    value = float(member.mean())
    interval = share_interval(value, sums[:, 0] / sums[:, 1], scores.group_count, scores.count_distinct())
    return with_interval(value, interval)
