"""Another model's classes, and the labels of splits, brought together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.classes import NO_TUMOR, TUMOR_KINDS
from gliascope.errors import ExternalModelError
from gliascope.splits.split import Split

_BINARY = {NO_TUMOR, "tumor"}


@dataclass(frozen=True, slots=True)
class ClassMapping:
    """How a model's probabilities become those of `classes`: matrix (its classes, ours) of 0 and 1."""

    classes: tuple[str, ...]
    matrix: NDArray[np.float64]

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (n, its classes) to (n, ours)."""
        merged: NDArray[np.float64] = probabilities @ self.matrix
        return merged


def map_classes(
    classes: Sequence[str], splits: Sequence[Split], file: Path
) -> tuple[list[Split], ClassMapping]:
    """Splits of the task that a model answers, and how its classes become theirs.

    A model that only tells tumour from none is asked no more; where the labels tell no more, the
    probabilities of the kinds are added up. Raises ForeignError for a label that the model does not know.
    """
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ExternalModelError(
            f"{file}: expected two or more different classes but got {', '.join(classes)}"
        )
    splits = [split.for_task("binary") if set(classes) <= _BINARY else split for split in splits]
    labels = {label for split in splits for label in split.classes}
    names = ["tumor" if labels <= _BINARY and name in TUMOR_KINDS else name for name in classes]
    if not labels <= set(names):
        raise ExternalModelError(
            f"{file}: knows {', '.join(classes)} but the split has {', '.join(sorted(labels - set(names)))}; "
            "name its classes as the catalogue does, or leave such slices out by `scan --labels`"
        )
    merged = tuple(sorted(set(names)))
    return splits, ClassMapping(
        merged, np.array([[one == name for one in merged] for name in names], dtype=np.float64)
    )
