"""Cross-validation folds and balanced accuracy for slices that come in groups.

A group is never divided between training and test, and the bootstrap draws whole groups: slices of one group
are alike, so they are no independent observations.
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.audit.facts import Estimate

FOLDS = 5
_RESAMPLES = 1000
_TAIL = 0.025  # outside of the 95 % interval, on either side
_BLOCK = 4_000_000  # numbers held at a time, 32 MB

Rows = NDArray[np.int64]


def group_folds(labels: Rows, groups: Rows, seed: int) -> Rows | None:
    """Assign rows to at most FOLDS folds, by whole groups and with similar shares of each class.

    Parameters
    ----------
    labels
        Class numbers, int64 (rows,).
    groups
        int64 (rows,).
    seed
        Of the assignment.

    Returns
    -------
    numpy.ndarray or None
        Fold of each row, int64 (rows,). None if there is one class only, or a class is in a single group.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(labels)
    count = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in classes))
    if count < 2 or len(classes) < 2:
        return None
    fold = np.empty(len(labels), np.int64)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        fold[test] = number
    # With few groups all of a class can end up in one fold, and could then not be trained on.
    learnable = all(len(np.unique(fold[labels == label])) > 1 for label in classes)
    return fold if learnable else None


def balanced_accuracy(truth: Rows, predicted: Rows, groups: Rows, seed: int) -> Estimate:
    """Mean recall over the classes, with a 95 % percentile bootstrap interval over groups.

    If all or none of the predictions are right, resamples do not vary. The bound is then that of a binomial
    share where all or none of the smallest class's groups succeed.

    Parameters
    ----------
    truth, predicted
        Class numbers, int64 (rows,).
    groups
        int64 (rows,).
    seed
        Of the bootstrap.

    Returns
    -------
    Estimate
        Without bounds if a class is in a single group, as that shows no spread.

    References
    ----------
    Clopper & Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26:404, 1934.
    """
    classes, label = np.unique(truth, return_inverse=True)
    codes, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(codes), 2, len(classes)))
    np.add.at(sums[:, 0], (group, label), truth == predicted)
    np.add.at(sums[:, 1], (group, label), 1)
    value = float(_mean_recall(sums.sum(axis=0)))
    fewest = int((sums[:, 1] > 0).sum(axis=0).min())
    if fewest < 2:
        return Estimate(value=value, low=None, high=None)
    low, high = np.quantile(_resample(sums, seed), [_TAIL, 1 - _TAIL])
    bound = _TAIL ** (1 / fewest)
    return Estimate(
        value=value,
        low=bound if value == 1 else float(low),
        high=1 - bound if value == 0 else float(high),
    )


def _mean_recall(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean recall, (...), over classes with rows. sums: right and all rows, (..., 2, classes)."""
    hits, rows = sums[..., 0, :], sums[..., 1, :]
    present = rows > 0
    recall = np.divide(hits, rows, out=np.zeros_like(hits), where=present)
    mean: NDArray[np.float64] = recall.sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return mean


def _resample(sums: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Mean recall of groups drawn with replacement, float64 (_RESAMPLES,). sums: (groups, 2, classes)."""
    rng = np.random.default_rng((0xB007, seed))  # separate from whatever else is drawn with this seed
    groups, flat = len(sums), sums.reshape(len(sums), -1)
    step = max(1, _BLOCK // groups)
    values = []
    for start in range(0, _RESAMPLES, step):
        size = min(step, _RESAMPLES - start)
        draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=size)
        values.append(_mean_recall((draws @ flat).reshape(size, *sums.shape[1:])))
    return np.concatenate(values)
