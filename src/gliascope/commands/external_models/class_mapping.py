"""Map the classes of an external model to the labels of splits."""

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
    """Sums probabilities of a model's classes to those of other, fewer classes.

    Parameters
    ----------
    classes
        The classes after the mapping.
    matrix
        float64 (classes of the model, `classes`) of 0 and 1.
    """

    classes: tuple[str, ...]
    matrix: NDArray[np.float64]

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map probabilities (n, classes of the model) to (n, `classes`)."""
        merged: NDArray[np.float64] = probabilities @ self.matrix
        return merged


def map_classes(
    classes: Sequence[str], splits: Sequence[Split], file: Path
) -> tuple[list[Split], ClassMapping]:
    """Fit splits and the classes of an external model to each other.

    If the model only tells tumour from no tumour, the labels of the splits become these two. If the labels
    are only these two, the probabilities of the kinds of tumour are added up.

    Parameters
    ----------
    classes
        The classes of the model.
    splits
        The splits that the model is scored on.
    file
        The file of the model, for messages.

    Returns
    -------
    tuple of list and ClassMapping
        The splits with their new labels, and the mapping of the model's classes.

    Raises
    ------
    ExternalModelError
        If a label of the splits is not among the classes of the model.
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
            "name the classes as the catalogue does, or leave such slices out by `scan --labels`"
        )
    merged = tuple(sorted(set(names)))
    return splits, ClassMapping(
        merged, np.array([[one == name for one in merged] for name in names], dtype=np.float64)
    )
