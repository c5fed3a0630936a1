"""Prediction sets: calibrated by MAPIE on one slice a group, and what they do on a test set.

Whoever is drawn next from the same patients and scanners, the set holds the truth with the stated
probability: split conformal prediction (Papadopoulos et al., ECML 2002; Vovk et al. 2005), which asks for
nothing but that calibration and test are exchangeable. Slices of one patient are not, so a group gives one
slice, and the promise is for a slice of a new group. It does not hold for another scanner or hospital.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.estimate import Estimate, Value
from gliascope.evaluation.intervals import (
    TAIL,
    group_draws,
    mean_interval,
    share_interval,
    with_interval,
)
from gliascope.evaluation.replicates import Floats, resampled_sums
from gliascope.evaluation.scores import Scores

LEVELS = (0.99, 0.95, 0.9)
TUNED = 0.2  # of the groups set the penalty of RAPS, as MAPIE has it


@dataclass(frozen=True, slots=True, eq=False)
class Conformity:
    """How badly the truth of each calibration slice fits what was said of it: float64 (groups,), ascending.

    By lac, aps and raps; the last on those groups that did not set its `penalty`, and the rank `free` up to
    which classes cost nothing. Empty where there are too few groups to set them, or two classes.
    """

    lac: Floats
    aps: Floats
    raps: Floats
    penalty: float
    free: float


def one_of_each(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of one slice of each group, drawn at random: (distinct groups,)."""
    order = np.random.default_rng(seed).permutation(len(groups))
    first = np.unique(groups[order], return_index=True)[1]
    return np.asarray(np.sort(order[first]), dtype=np.int64)


def highest_level(groups: int, asked: float = LEVELS[0]) -> float:
    """`asked`, or where so few groups cannot promise it, the highest of LEVELS that they can.

    Where they can promise none, `asked`: sets then hold all classes.
    """
    possible = [level for level in (asked, *LEVELS) if level <= asked and groups >= needed(level)]
    return max(possible, default=asked)


def needed(level: float) -> int:
    """How many groups it takes for sets that are smaller than everything."""
    return math.ceil(round(level / (1 - level), 6))


def conformity(scores: Scores, level: float, seed: int = 0) -> Conformity:
    """Nonconformity scores of one slice a group, by MAPIE; those of APS and RAPS are randomised, by `seed`.

    level: what RAPS is tuned for; lac and aps serve any. Between two classes there is lac alone.
    """
    drawn = scores.at(np.isin(np.arange(len(scores)), one_of_each(scores.group_codes, seed)))
    if len(np.unique(drawn.labels)) < 3:  # no order of classes to speak of, and MAPIE refuses
        return Conformity(_scores(drawn, "lac", seed), np.empty(0), np.empty(0), 0.0, 0.0)
    raps, penalty, free = _raps(drawn, level, seed)
    return Conformity(_scores(drawn, "lac", seed), _scores(drawn, "aps", seed), raps, penalty, free)


class SetMetrics(Value):
    """What prediction sets do on a test set. Intervals are over groups."""

    coverage: Estimate = Field(
        description="share of sets that hold the truth, every group counting alike, as for one slice of each"
    )
    of_slices: float = Field(description="coverage, every slice counting alike")
    per_class: dict[str, float | None] = Field(
        description="coverage by true class, every slice counting alike; null for a class without slices"
    )
    size: Estimate = Field(description="mean number of classes in a set")
    sizes: tuple[int, ...] = Field(description="how many sets are of 0, 1, 2 … classes")


def evaluate_sets(
    scores: Scores, sets: NDArray[np.bool_], resamples: int = 2000, seed: int = 0
) -> SetMetrics:
    """Measure coverage and size of prediction sets, bool (n, classes), on a test set."""
    n, count = sets.shape
    covered = sets[np.arange(n), scores.labels].astype(np.float64)
    size = sets.sum(axis=1).astype(np.float64)
    shares = np.bincount(scores.group_codes, covered) / np.bincount(scores.group_codes)
    sampled = resampled_sums(scores, np.stack([np.ones(n), size], axis=1), resamples, seed)
    sizes = mean_interval(size.mean(), sampled[:, 1] / sampled[:, 0], scores.group_count, 0, count)
    drawn = np.concatenate([draws @ shares for draws in group_draws(scores.group_count, n, resamples, seed)])
    coverage = float(shares.mean())
    return SetMetrics(
        coverage=with_interval(
            coverage,
            share_interval(coverage, drawn / scores.group_count, scores.group_count, scores.distinct()),
        ),
        of_slices=float(covered.mean()),
        per_class={
            label: float(covered[scores.labels == index].mean()) if (scores.labels == index).any() else None
            for index, label in enumerate(scores.classes)
        },
        size=with_interval(float(size.mean()), sizes),
        sizes=np.bincount(size.astype(np.int64), minlength=count + 1).tolist(),
    )


def coverage_bounds(level: float, calibrated: int, tested: int) -> tuple[float, float]:
    """Between which shares coverage of one slice each of `tested` groups lies, 19 times in 20.

    Calibration on so many groups is one more draw of luck: the count is beta-binomial (Vovk, Mach. Learn.
    92:349, 2013; Angelopoulos & Bates, Found. Trends Mach. Learn. 16:494, 2023), for scores without ties.
    (1, 1) where sets hold all classes.
    """
    from scipy.stats import betabinom

    out = calibrated + 1 - math.ceil(round((calibrated + 1) * level, 9))  # scores that lie above the quantile
    if out < 1:
        return 1.0, 1.0
    count = betabinom(tested, calibrated + 1 - out, out)
    return float(count.ppf(TAIL) / tested), float(count.ppf(1 - TAIL) / tested)


def _scores(drawn: Scores, method: str, seed: int) -> Floats:
    from mapie.classification import SplitConformalClassifier

    fitted = SplitConformalClassifier(_said(drawn), conformity_score=method, random_state=seed)
    fitted.conformalize(drawn.probabilities, drawn.labels)
    return np.sort(fitted.conformity_scores[:, 0])


def _raps(drawn: Scores, level: float, seed: int) -> tuple[Floats, float, float]:
    """MAPIE parts the groups, chooses penalty and rank on the smaller part, and scores the other."""
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import RAPSConformityScore

    least = needed(level) + 1  # of each part; MAPIE asks for one more than theory
    tuned = max(TUNED, least / len(drawn))
    rarest = np.bincount(drawn.labels)[np.unique(drawn.labels)].min()
    if len(drawn) * (1 - tuned) < least or rarest < 2:  # its parts are stratified
        return np.empty(0), 0.0, 0.0

    class Score(RAPSConformityScore):  # type: ignore[misc]
        """MAPIE 1.6 forgets the size on the way, and takes a tenth."""

        def set_external_attributes(self, *, size_raps: float | None = None, **rest: Any) -> None:
            super().set_external_attributes(size_raps=size_raps or tuned, **rest)

    score = Score()
    fitted = SplitConformalClassifier(_said(drawn), level, conformity_score=score, random_state=seed)
    fitted.conformalize(drawn.probabilities, drawn.labels)
    fitted.predict_set(drawn.probabilities[:1])  # here the penalty is chosen
    penalty, free = float(score.lambda_star), float(score.k_star[0])
    kept = fitted.conformity_scores[:, 0] + penalty * np.maximum(score.cutoff - free, 0)
    return np.sort(kept), penalty, free


def _said(scores: Scores) -> Any:
    """A classifier, as MAPIE wants one, that is given probabilities and says them."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Said(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_ = np.arange(len(scores.classes))

        def fit(self, *_: Any) -> "Said":
            return self

        def predict_proba(self, probabilities: Floats) -> Floats:
            return probabilities

        def predict(self, probabilities: Floats) -> NDArray[np.int64]:
            return np.asarray(probabilities.argmax(axis=1))

    return Said()
