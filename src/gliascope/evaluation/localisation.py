"""Whether saliency maps point to the lesion.

A saliency map has the (height, width) of its slice; values above 0 support the class. Its peak is scored by
the pointing game (Zhang et al., Top-Down Neural Attention by Excitation Backprop, IJCV 2018), all of it by
the energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.comparison import mcnemar_test, sign_flip_test
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import group_draws, share_interval, with_interval

Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]  # top, bottom, left, right
TOLERANCE = 15 / 224
"""How far a hit may miss, as a share of the slice's longer side: the pointing game has 15 pixels."""


@dataclass(frozen=True, eq=False)
class PeakPositions:
    """How the maps of one method lie relative to the lesions of n slices.

    Attributes
    ----------
    distance
        From the map's peak to the lesion, (n,), as a share of the slice's longer side: 0 within the lesion,
        infinite for a map that is nowhere above 0.
    energy
        Share of the map's positive values that lies in the lesion, (n,).
    """

    distance: Floats
    energy: Floats

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether each peak lies at most TOLERANCE from the lesion, (n,)."""
        return np.asarray(self.distance <= TOLERANCE)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each peak lies in the lesion itself, (n,)."""
        return np.asarray(self.distance == 0)


class AgainstBaseline(FrozenModel):
    """A method compared with the baseline, slice by slice."""

    method_only: int = Field(description="slices whose lesion only the method hits")
    baseline_only: int = Field(description="slices whose lesion only the baseline hits")
    p: float = Field(description="of McNemar's exact test, by slices")
    p_groups: float = Field(description="of the same question by groups: their signs are flipped at random")


class Localisation(FrozenModel):
    """How often the maps of one method point to lesions. Intervals are over groups."""

    pointing: Estimate = Field(
        description="share of slices whose peak lies at most the tolerance from the lesion"
    )
    inside: Estimate = Field(description="share of slices whose peak lies in the lesion itself")
    energy: Estimate = Field(description="mean share of what is above 0 that lies in the lesion")
    empty_maps: int = Field(description="maps that are nowhere above 0")
    against_baseline: AgainstBaseline | None = Field(default=None, description="null of the baseline itself")


def locate_peak(saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Measure the distance from a map's peak to the lesion, and the map's energy within the lesion.

    Parameters
    ----------
    saliency
        The map, (height, width).
    mask
        The lesion, bool (height, width).

    Returns
    -------
    distance, energy : float
        As in `PeakPositions`; (infinity, 0) for a map that is nowhere above 0.

    Raises
    ------
    ValueError
        If the shapes differ or the mask is empty.

    Examples
    --------
    >>> saliency, mask = np.zeros((10, 10), np.float32), np.zeros((10, 10), bool)
    >>> saliency[2, 2], mask[2, 5] = 1, True
    >>> locate_peak(saliency, mask)
    (0.3, 0.0)
    """
    if saliency.shape != mask.shape:
        raise ValueError(f"expected `mask` of shape {saliency.shape} but got {mask.shape}")
    if not mask.any():
        raise ValueError("expected a lesion in `mask` but it is empty")
    positive = np.maximum(saliency.astype(np.float64), 0)
    total = positive.sum()
    if not total > 0:
        return float("inf"), 0.0
    row, column = np.unravel_index(positive.argmax(), positive.shape)
    rows, columns = np.nonzero(mask)
    distance = float(np.hypot(rows - row, columns - column).min()) / max(mask.shape)
    return distance, float(positive[mask].sum() / total)


def centre_of_head(shape: tuple[int, int], box: Box) -> NDArray[np.float32]:
    """Return the baseline map, which ignores the image: a Gaussian hill in the middle of the head's box.

    Its standard deviations are a quarter of the box's sides. A method that localises must beat this baseline.
    """
    top, bottom, left, right = box
    y, x = np.ogrid[: shape[0], : shape[1]]
    down = (y + 0.5 - (top + bottom) / 2) / ((bottom - top) / 4)
    across = (x + 0.5 - (left + right) / 2) / ((right - left) / 4)
    hill: NDArray[np.float32] = np.exp(-0.5 * (down**2 + across**2)).astype(np.float32)
    return hill


def summarise_localisation(
    points: Mapping[str, PeakPositions],
    baseline: str,
    groups: NDArray[Any],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Localisation]:
    """Compute the localisation metrics of each method, and compare each with the baseline.

    Parameters
    ----------
    points
        By method: positions on the same n slices.
    baseline
        The key in `points` of the baseline method.
    groups
        Group of each slice, (n,); equal for slices that are not independent.
    resamples, seed
        Of the bootstrap over groups.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    base = points[baseline].hits
    result: dict[str, Localisation] = {}
    for name, one in points.items():
        result[name] = Localisation(
            pointing=mean_share(one.hits.astype(np.float64), codes, resamples, seed),
            inside=mean_share(one.inside.astype(np.float64), codes, resamples, seed),
            energy=mean_share(one.energy, codes, resamples, seed),
            empty_maps=int(np.isinf(one.distance).sum()),
            against_baseline=None if name == baseline else _against(one.hits, base, codes),
        )
    return result


def _against(hits: NDArray[np.bool_], base: NDArray[np.bool_], codes: NDArray[np.int64]) -> AgainstBaseline:
    mine, its, p = mcnemar_test(hits, base)
    sums = np.bincount(codes, weights=hits.astype(np.float64) - base).astype(np.float64)
    return AgainstBaseline(method_only=mine, baseline_only=its, p=p, p_groups=sign_flip_test(sums))


def mean_share(values: Floats, codes: NDArray[np.int64], resamples: int, seed: int) -> Estimate:
    """Compute the mean of values from 0 to 1, with its interval over groups.

    Parameters
    ----------
    values
        The values, (n,).
    codes
        The groups, int64 (n,), numbered from 0 without gaps.
    resamples, seed
        Of the bootstrap over groups.
    """
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes).astype(np.float64)
    drawn = [
        (draws @ sums) / (draws @ counts) for draws in group_draws(len(counts), len(values), resamples, seed)
    ]
    value = float(values.mean())
    return with_interval(value, share_interval(value, np.concatenate(drawn), len(counts), len(values)))
