"""The Judge: what a Bundle's answers are worth. NumPy alone, so that it goes wherever a Bundle goes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gliascope.errors import GliascopeError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Looks = Mapping[str, NDArray[np.float32]]  # in each of SPACES: (n, its width)

METHODS = ("lac", "aps", "raps")
ACCEPTED, UNCERTAIN, OUT_OF_SCOPE, UNCHECKED = "accepted", "uncertain", "out of scope", "unchecked"
VERDICTS = (ACCEPTED, UNCERTAIN, OUT_OF_SCOPE)
Space = Literal["features", "greys", "layout"]
SPACES: tuple[Space, ...] = ("features", "greys", "layout")
ACCEPTANCE = 0.95
PARTS = ("mean", "components", "variances")
ARRAYS = (*METHODS, *(f"{space}.{part}" for space in SPACES for part in PARTS))
_TINY = 1e-12


class SpaceInfo(BaseModel):
    """One of SPACES, in which distances from the training slices are measured, but for its arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: float = Field(gt=0, description="variance in every direction but the components")
    unit: float = Field(
        gt=0, description="what distances are divided by: three of one unit each are just in scope"
    )


class JudgeInfo(BaseModel):
    """`judge` in bundle.json: all of a Judge but its arrays, which are in judge.npz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(gt=0, description="that logits are divided by")
    method: Literal["lac", "aps", "raps"] = Field(description="of the prediction sets")
    level: float = Field(gt=0, lt=1, description="share of patients whose sets hold the truth")
    penalty: float = Field(default=0.0, ge=0, description="of RAPS, for each class after the first `free`")
    free: float = Field(default=0.0, ge=0)
    spaces: dict[Space, SpaceInfo]
    references: int = Field(ge=0, description="training slices that the distances are measured from")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a Judge says of n slices; without one, sets and outlier scores are None.

    probabilities: float64 (n, classes), calibrated. sets: bool (n, classes), the classes that the truth is
    among. outlier_scores: float64 (n,), distance from the training slices: past 1, a slice is out of scope.
    verdicts: (n,), of VERDICTS, or `unchecked`.
    """

    probabilities: Floats
    sets: Bools | None
    outlier_scores: Floats | None
    verdicts: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Temperature, prediction sets and outlier score, fitted on a run's own slices.

    arrays, by name: lac, aps, raps: float64 (groups,), ascending: how badly the truth of one validation slice
    a group fits what the model says of it. For each space and its width w: mean (w,), components (k, w) and
    variances (k,), after the space's name and a dot.
    """

    info: JudgeInfo
    arrays: Mapping[str, NDArray[Any]]

    def __call__(self, logits: NDArray[np.float32], looks: Looks) -> Judgement:
        """Judge what the graph says of n slices, logits (n, classes), and what they look like."""
        return self.weigh(self.calibrated(logits), self.outlier_scores(looks))

    def calibrated(self, logits: NDArray[np.float32]) -> Floats:
        """Probabilities (n, classes) of logits (n, classes) at the temperature that fits."""
        return calibrated(logits, self.info.temperature)

    def weigh(self, probabilities: Floats, outlier_scores: Floats) -> Judgement:
        """Judge calibrated probabilities (n, classes) and outlier scores (n,).

        Out of scope past the threshold; else uncertain where the set is not of one class; else accepted.
        """
        sets = self.sets(probabilities)
        certain = np.where(sets.sum(axis=1) == 1, ACCEPTED, UNCERTAIN)
        verdicts: list[str] = np.where(outlier_scores > 1, OUT_OF_SCOPE, certain).tolist()
        return Judgement(probabilities, sets, outlier_scores, verdicts)

    @property
    def groups(self) -> int:
        """How many groups (patients) the prediction sets were calibrated on; of raps, those not tuned on."""
        return len(self.arrays[self.info.method])

    def at(self, level: float) -> "Judge":
        """The same with prediction sets at another level. Raises GliascopeError for too few groups."""
        if not 0 < level < 1 or _place(level, self.groups) > self.groups:
            most = f"at most {self.groups / (self.groups + 1):.4g}" if self.groups else "none"
            raise GliascopeError(
                f"level {level:g}: expected one between 0 and 1 that the {self.groups} groups the prediction "
                f"sets were calibrated on can promise ({most})"
            )
        return self.by(self.info.method, level)

    def by(self, method: str, level: float) -> "Judge":
        """The same with prediction sets by another of METHODS and at another level, which may be too high."""
        return replace(self, info=self.info.model_copy(update={"method": method, "level": level}))

    def quantile(self) -> float:
        """What `level` of the calibration's scores reach at most: the ⌈(groups + 1) level⌉-th smallest.

        Infinite where there are too few for the level: a set then holds all classes.
        """
        place = _place(self.info.level, self.groups)
        return float(self.arrays[self.info.method][place - 1]) if place <= self.groups else math.inf

    def sets(self, probabilities: Floats) -> Bools:
        """Prediction sets, bool (n, classes), of calibrated probabilities (n, classes).

        lac: every class of which 1 - p is at most the quantile (Sadinle et al., J. Am. Stat. Assoc. 114:223,
        2019); may be empty. aps: from the likeliest class on until the sum of p reaches the quantile, the
        last one included (Romano et al., NeurIPS 2020). raps: the same, where every class after the first
        `free` adds a penalty to the sum (Angelopoulos et al., ICLR 2021).
        """
        quantile = self.quantile()
        if self.info.method == "lac":
            return np.asarray(1 - probabilities <= quantile)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        reached = np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)
        if self.info.method == "raps":
            ranks = np.arange(1, probabilities.shape[1] + 1)
            reached = reached + self.info.penalty * np.maximum(ranks - self.info.free, 0)
        included = np.ones(probabilities.shape, dtype=np.bool_)
        # Not below it alone: where rounding has made the sum 1, the classes that follow are tied with it.
        included[:, 1:] = reached[:, :-1] <= quantile
        sets = np.empty_like(included)
        np.put_along_axis(sets, order, included, axis=1)
        return sets

    def outlier_scores(self, looks: Looks) -> Floats:
        """How far slices are from the training slices, (n,), in all spaces together: 1 is just in scope."""
        apart = []
        for name, space in self.info.spaces.items():
            mean, components, variances = (self.arrays[f"{name}.{part}"] for part in PARTS)
            apart.append(distances(looks[name], mean, components, variances, space.noise))
        return together(apart, [space.unit for space in self.info.spaces.values()])

    def to_bytes(self) -> bytes:
        """The arrays as judge.npz; equal arrays give equal bytes."""
        content = BytesIO()
        arrays: dict[str, Any] = {name: self.arrays[name] for name in ARRAYS}
        np.savez(content, **arrays)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, info: JudgeInfo, content: bytes) -> "Judge":
        """What `to_bytes` wrote. Raises ValueError, KeyError or OSError for anything else."""
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return cls(info, {name: arrays[name] for name in ARRAYS})


def distances(
    looks: NDArray[np.float32],
    mean: NDArray[np.float32],
    components: NDArray[np.float32],
    variances: NDArray[np.float32],
    noise: float,
) -> Floats:
    """Mahalanobis distances (n,) of slices (n, w) from training slices (Lee et al., NeurIPS 2018).

    Their covariance is that of probabilistic principal components (Tipping & Bishop, J. R. Stat. Soc. B
    61:611, 1999): a variance for each component, and one, the noise, for all other directions.
    """
    away = looks.astype(np.float64) - mean
    inside = away @ components.T.astype(np.float64)
    outside = np.maximum((away**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
    return np.asarray(np.sqrt((inside**2 / variances).sum(axis=1) + outside / noise))


def together(apart: Sequence[Floats], units: Sequence[float]) -> Floats:
    """Distances (n,) in each space as one: the root of their mean square, each in units of its space."""
    return np.asarray(
        np.sqrt(np.mean([(one / unit) ** 2 for one, unit in zip(apart, units, strict=True)], 0))
    )


def fit_units(apart: Sequence[Floats], acceptance: float = ACCEPTANCE) -> list[float]:
    """The units in which a share `acceptance` of validation slices, (n,) in each space, is within 1 together.

    They are in proportion to what that share is within in each space alone, so that no space counts more.
    """
    own = [max(_reached(one, acceptance), _TINY) for one in apart]
    longest = max(_reached(together(apart, own), acceptance), _TINY)
    longest *= 1 + 8 * np.finfo(np.float64).eps  # the slice that is just within stays so, whatever is rounded
    return [unit * longest for unit in own]


def _reached(values: Floats, share: float) -> float:
    return float(np.quantile(values, share, method="higher"))


def unchecked(logits: NDArray[np.float32]) -> Judgement:
    """What can be said without a Judge of logits (n, classes): their softmax."""
    return Judgement(softmax(logits), None, None, [UNCHECKED] * len(logits))


def calibrated(logits: NDArray[np.float32], temperature: float) -> Floats:
    """Probabilities, float64 (n, classes), of logits (n, classes) divided by a temperature.

    To fit and to apply by: in float32, a slice would lie on the other side of its own quantile.
    """
    return softmax(logits.astype(np.float64) / temperature)


def softmax(logits: NDArray[Any]) -> Floats:
    """Probabilities, float64 (n, classes), of logits (n, classes)."""
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))


def _place(level: float, groups: int) -> int:
    # Rounded first: 0.95 × 20 may come out a little above 19.
    return math.ceil(round((groups + 1) * level, 9))
