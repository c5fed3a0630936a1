"""Predictions of a test set by one or several models: the input of everything in `evaluation`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Scores:
    """Predicted probabilities and true labels of n slices.

    A slice that several models were tested on (repeats of a protocol) has a row for each model. Scores of
    different models have no common scale, so whatever ranks or bins them does so for one model at a time, see
    `rows_by_model`.

    Parameters
    ----------
    probabilities
        float64 (n, classes); each row sums to 1.
    labels
        int64 (n,): index into `classes`.
    groups
        int64 or str (n,): equal for slices that are not independent (one patient, copies of one image).
    classes
        Names in the order of the columns.
    models
        int64 or str (n,): which model gave the probabilities; None where one model gave them all.

    Raises
    ------
    ValueError
        If shapes, dtypes or values do not fit.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    >>> scores = Scores(probabilities, np.array([0, 0, 1]), np.array([0, 0, 1]), ("glioma", "no_tumor"))
    >>> scores.group_count, scores.correct.tolist()
    (2, [True, False, True])
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[Any]
    classes: tuple[str, ...]
    models: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        probabilities = np.asarray(self.probabilities, dtype=np.float64)
        labels, groups, classes = np.asarray(self.labels), np.asarray(self.groups), tuple(self.classes)
        _check_classes(classes)
        _check_probabilities(probabilities, len(classes))
        _check_column("labels", labels, len(probabilities), kinds="iu", wanted="integers")
        _check_column("groups", groups, len(probabilities), kinds="iuUO", wanted="integers or strings")
        if self.models is not None:
            _check_column(
                "models", self.models, len(probabilities), kinds="iuUO", wanted="integers or strings"
            )
        if labels.min() < 0 or labels.max() >= len(classes):
            raise ValueError(
                f"expected `labels` from 0 to {len(classes) - 1} but got {labels.min()} to {labels.max()}"
            )
        object.__setattr__(self, "probabilities", probabilities)
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def join(cls, test_sets: Sequence["Scores"]) -> "Scores":
        """Concatenate test sets of different models; each model is numbered by its position.

        Raises
        ------
        ValueError
            If their classes differ.
        """
        if len({part.classes for part in test_sets}) > 1:
            raise ValueError(
                f"expected equal classes but got {' and '.join(str(p.classes) for p in test_sets)}"
            )
        return cls(
            np.concatenate([part.probabilities for part in test_sets]),
            np.concatenate([part.labels for part in test_sets]),
            np.concatenate([part.groups for part in test_sets]),
            test_sets[0].classes,
            np.repeat(np.arange(len(test_sets)), [len(part) for part in test_sets]),
        )

    def select(self, which: NDArray[np.bool_]) -> "Scores":
        """Return the slices where `which`, bool (n,), is true, in their order.

        Raises
        ------
        ValueError
            If there is none.
        """
        models = None if self.models is None else self.models[which]
        return Scores(self.probabilities[which], self.labels[which], self.groups[which], self.classes, models)

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """Index of the most probable class, (n,); the first where several are equal."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @cached_property
    def confidences(self) -> NDArray[np.float64]:
        """Probability of the predicted class, (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, (n,)."""
        return np.asarray(self.predictions == self.labels)

    @cached_property
    def group_codes(self) -> NDArray[np.int64]:
        """The groups renumbered 0, 1, 2 … without gaps, (n,)."""
        return np.asarray(np.unique(self.groups, return_inverse=True)[1], dtype=np.int64)

    @property
    def group_count(self) -> int:
        """How many different groups there are."""
        return int(self.group_codes.max()) + 1

    @cached_property
    def model_codes(self) -> NDArray[np.int64]:
        """The models renumbered 0, 1, 2 … in order of appearance, (n,)."""
        if self.models is None:
            return np.zeros(len(self), dtype=np.int64)
        _, first, codes = np.unique(self.models, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[codes], dtype=np.int64)

    @cached_property
    def rows_by_model(self) -> tuple[NDArray[np.int64], ...]:
        """Rows of each model, in the order of `model_codes`."""
        return tuple(np.flatnonzero(self.model_codes == number) for number in range(self.model_count))

    def rankable_rows(self, positive: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
        """Return the rows of each model that has both positives and negatives; no other model can rank them.

        Parameters
        ----------
        positive
            Which slices are positive, bool (n,).
        """
        return [rows for rows in self.rows_by_model if 0 < positive[rows].sum() < len(rows)]

    def count_groups_by_side(self, positive: NDArray[np.bool_]) -> tuple[int, int]:
        """Count the groups with positives, and those with negatives, among the rows of `rankable_rows`.

        Parameters
        ----------
        positive
            Which slices are positive, bool (n,).
        """
        ranked = np.concatenate([np.empty(0, dtype=np.int64), *self.rankable_rows(positive)])
        codes, side = self.group_codes[ranked], positive[ranked]
        return len(np.unique(codes[side])), len(np.unique(codes[~side]))

    @property
    def model_count(self) -> int:
        """How many different models there are."""
        return int(self.model_codes.max()) + 1

    def count_distinct(self, member: NDArray[np.bool_] | None = None) -> int:
        """Count the slices; a slice that several models predicted counts once.

        If several models predicted slices of a group, the group counts with the slices of the model that has
        most.

        Parameters
        ----------
        member
            Count only these slices, bool (n,); None for all.
        """
        cells = self.group_codes * self.model_count + self.model_codes
        counts = np.bincount(
            cells if member is None else cells[member], minlength=self.group_count * self.model_count
        )
        return int(counts.reshape(self.group_count, self.model_count).max(axis=1).sum())


def _check_classes(classes: tuple[str, ...]) -> None:
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ValueError(f"expected `classes` to be two or more different names but got {classes}")


def _check_probabilities(probabilities: NDArray[np.float64], classes: int) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] != classes:
        raise ValueError(f"expected `probabilities` of shape (n, {classes}) but got {probabilities.shape}")
    if len(probabilities) == 0:
        raise ValueError("expected at least one slice but got none")
    if not np.isfinite(probabilities).all():
        raise ValueError("expected `probabilities` to be finite but got NaN or infinity")
    if probabilities.min() < 0:
        raise ValueError(f"expected `probabilities` of 0 or more but got {probabilities.min():.6g}")
    sums = probabilities.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > ROW_SUM_TOLERANCE:
        raise ValueError(
            f"expected rows of `probabilities` to sum to 1 but got {sums[worst]:.6g} in row {worst}"
        )


def _check_column(name: str, values: NDArray[Any], length: int, *, kinds: str, wanted: str) -> None:
    if values.shape != (length,):
        raise ValueError(f"expected `{name}` of shape ({length},) but got {values.shape}")
    if values.dtype.kind not in kinds:
        raise ValueError(f"expected `{name}` to be {wanted} but got dtype {values.dtype}")
