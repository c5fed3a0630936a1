"""How verdicts divide a test set: how many slices have each verdict, and how many of these are correct."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import share_interval, with_interval
from gliascope.evaluation.replicates import Floats, resampled_sums
from gliascope.evaluation.scores import Scores

BIN_WIDTH = 0.02  # of a bin, in decades


class VerdictMetrics(FrozenModel):
    """How many slices have one verdict, and how many of these are correct. Intervals are over groups."""

    n: int
    share: Estimate = Field(description="of all slices")
    accuracy: Estimate = Field(description="among those with the verdict; null where there is none")


class Histogram(FrozenModel):
    """Counts of outlier scores on a logarithmic scale; past the edge at 1, slices are out of scope."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def evaluate_verdicts(
    scores: Scores, verdicts: Sequence[str], names: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> dict[str, VerdictMetrics]:
    """Compute share and accuracy of each verdict.

    The accuracy of the accepted slices is a point of the risk-coverage curve.

    Parameters
    ----------
    scores
        The predictions of n slices.
    verdicts
        The verdict of each slice, n of them.
    names
        All verdicts that there are; the result has their order.
    resamples, seed
        Of the bootstrap over groups.

    Returns
    -------
    dict of VerdictMetrics
        By verdict. `accuracy` is None for a verdict that no slice has.

    References
    ----------
    El-Yaniv & Wiener, J. Mach. Learn. Res. 11:1605, 2010.
    """
    given = np.array(verdicts)
    found = {}
    for kind in names:
        member = given == kind
        right = member & scores.correct
        columns = np.stack([np.ones(len(scores)), member, right], axis=1).astype(np.float64)
        sums = resampled_sums(scores, columns, resamples, seed)
        n = int(member.sum())
        share, accuracy = n / len(scores), float(right.sum() / n) if n else np.nan
        groups, slices = len(np.unique(scores.group_codes[member])), scores.count_distinct(member)
        shares = share_interval(share, sums[:, 1] / sums[:, 0], scores.group_count, scores.count_distinct())
        right_of = share_interval(accuracy, _ratio(sums[:, 2], sums[:, 1]), groups, slices)
        found[kind] = VerdictMetrics(
            n=n, share=with_interval(share, shares), accuracy=with_interval(accuracy, right_of)
        )
    return found


def outlier_histogram(outlier_scores: NDArray[np.float64]) -> Histogram:
    """Count outlier scores, (n,), in bins of a logarithmic scale; 1 is one of the edges."""
    logs = np.log10(np.maximum(outlier_scores, 0.01))
    first, last = np.floor(logs.min() / BIN_WIDTH), np.floor(logs.max() / BIN_WIDTH) + 1
    edges = np.arange(first, last + 1) * BIN_WIDTH
    return Histogram(edges=(10**edges).tolist(), counts=np.histogram(logs, edges)[0].tolist())


def _ratio(part: Floats, whole: Floats) -> Floats:
    undefined = np.full(len(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=whole > 0))
