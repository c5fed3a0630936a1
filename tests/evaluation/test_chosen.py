"""The promise of prediction sets where the best of many was kept, by the slices that choose alone."""

import hashlib

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from gliascope.evaluation.scores import Scores
from gliascope.splits.draws import hash_halves
from gliascope.splits.validation import divide_validation
from gliascope.uncertainty.conformal import (
    conformal_quantile,
    coverage_bounds,
    fit_nonconformity,
    one_slice_per_group,
    prediction_sets,
)
from gliascope.uncertainty.temperature import softmax

CLASSES = ("a", "b", "c", "d")
TRIALS, CANDIDATES, VALIDATED, TESTED, LEVEL = 150, 40, 120, 400, 0.95


class Patients:
    """Patients of one to six slices, and many epochs or settings of equal skill that err on other patients."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self.groups = np.repeat(np.arange(count), random.integers(1, 7, count))
        self.labels = random.integers(0, 4, count)[self.groups]
        of_patients = random.normal(0, 1.6, (CANDIDATES, count, 4))
        of_slices = random.normal(0, 0.5, (CANDIDATES, len(self.groups), 4))
        self.logits = 3 * np.eye(4)[self.labels] + of_patients[:, self.groups] + of_slices

    def scores(self, candidate: int, rows: np.ndarray | None = None) -> Scores:
        rows = np.arange(len(self.groups)) if rows is None else rows
        return Scores(softmax(self.logits[candidate, rows]), self.labels[rows], self.groups[rows], CLASSES)

    def best(self, rows: np.ndarray) -> int:
        """As `keep: best` and `tune` choose."""
        right = self.logits[:, rows].argmax(axis=2) == self.labels[rows]
        return int(right.mean(axis=1).argmax())

    def split(self, trial: int) -> pl.DataFrame:
        """As the validation subset of a split, beside a training slice."""
        n = len(self.groups)
        frame = pl.DataFrame(
            {
                "source": "s",
                "path": [f"{number}.png" for number in range(n)],
                "index": 0,
                "label": [CLASSES[label] for label in self.labels],
                "group": self.groups,
                "blank": False,
                "pixel_hash": [hashlib.md5(f"{trial} {row}".encode()).hexdigest() for row in range(n)],
                "subset": "val",
            }
        )
        return frame.with_columns(calibrates=hash_halves(frame)).with_row_index("row")


def covered(calibration: Scores, test: Scores, seed: int) -> int:
    """How many of the test groups' sets hold the truth, of one slice drawn of each."""
    scores = fit_nonconformity(calibration.probabilities, calibration.labels, calibration.groups, seed)
    sets = prediction_sets(test.probabilities, conformal_quantile(scores, LEVEL))
    rows = one_slice_per_group(test.groups, seed)
    return int(sets[rows, test.labels[rows]].sum())


@pytest.fixture(scope="module")
def trials() -> dict[str, list[tuple[int, int]]]:
    """Groups that calibrated, and groups covered of TESTED, in each trial; by who calibrates."""
    found: dict[str, list[tuple[int, int]]] = {"apart": [], "the same": []}
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        validation, test = Patients(VALIDATED, random), Patients(TESTED, random)
        uses = divide_validation(validation.split(trial), selects=True)
        apart = tuple(part["row"].to_numpy() for part in (uses.choosing, uses.calibrating))
        everything = np.arange(len(validation.groups))
        for name, (choosing, calibrating) in {"apart": apart, "the same": (everything, everything)}.items():
            best = validation.best(choosing)
            calibration, tested = validation.scores(best, calibrating), test.scores(best)
            groups = len(np.unique(calibration.groups))
            found[name].append((groups, covered(calibration, tested, trial)))
    return found


def test_who_chose_does_not_calibrate_and_coverage_holds(trials: dict[str, list[tuple[int, int]]]) -> None:
    """Within the bounds that luck allows as often as they promise; and on average, the level and hardly more."""
    bounds = [coverage_bounds(LEVEL, groups, TESTED) for groups, _ in trials["apart"]]
    shares = np.array([count / TESTED for _, count in trials["apart"]])
    inside = sum(low <= share <= high for (low, high), share in zip(bounds, shares, strict=True))
    assert inside >= binom(TRIALS, 0.95).ppf(0.001)
    spread = 3 * shares.std() / np.sqrt(TRIALS)
    fewest = min(groups for groups, _ in trials["apart"])
    assert LEVEL - spread < shares.mean() < LEVEL + 1 / (fewest + 1) + spread


def test_calibrating_on_what_chose_breaks_the_promise(trials: dict[str, list[tuple[int, int]]]) -> None:
    """What this guards against."""
    shares = np.array([count / TESTED for _, count in trials["the same"]])
    assert shares.mean() < LEVEL - 3 * shares.std() / np.sqrt(TRIALS) - 0.005
