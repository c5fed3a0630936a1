"""What the audit's probes share: whole groups are kept together, when training and when resampling."""

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
_RESAMPLES = 1000
_TAIL = 0.025
_BLOCK = 4_000_000  # numbers held at a time, 32 MB


def folds(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64] | None:
    """Deal rows into at most FOLDS folds by whole groups, classes evenly: fold of each row, (rows,).

    labels: class numbers. None where that is impossible: a class is in a single group, or there is one class.
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
    # With few groups the dealing is not always even; a class that is all in one fold was never learnt.
    learnable = all(len(np.unique(fold[labels == label])) > 1 for label in classes)
    return fold if learnable else None


def balanced_accuracy(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> dict[str, float | None]:
    """Mean recall over the classes of `truth` as value, low, high: a 95 % percentile bootstrap over groups.

    Where all or none is right, resamples do not vary; the bound is then that of a binomial share of which
    all or none of the smallest class's groups succeed (Clopper & Pearson 1934). A class in a single group
    leaves the interval undefined (null), as no spread can be seen.
    """
    classes, label = np.unique(truth, return_inverse=True)
    codes, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(codes), 2, len(classes)))
    np.add.at(sums[:, 0], (group, label), truth == predicted)
    np.add.at(sums[:, 1], (group, label), 1)
    value = float(_mean_recall(sums.sum(axis=0)))
    fewest = int((sums[:, 1] > 0).sum(axis=0).min())
    if fewest < 2:
        return {"value": value, "low": None, "high": None}
    low, high = np.quantile(_resample(sums, seed), [_TAIL, 1 - _TAIL])
    bound = _TAIL ** (1 / fewest)
    return {
        "value": value,
        "low": bound if value == 1 else float(low),
        "high": 1 - bound if value == 0 else float(high),
    }


def undefined() -> dict[str, float | None]:
    """What stands for a balanced accuracy that cannot be had."""
    return {"value": None, "low": None, "high": None}


def _mean_recall(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 2, classes) of hits and rows to (...); a class that a resample lacks does not count."""
    hits, rows = sums[..., 0, :], sums[..., 1, :]
    present = rows > 0
    recall = np.divide(hits, rows, out=np.zeros_like(hits), where=present)
    mean: NDArray[np.float64] = recall.sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return mean


def _resample(sums: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Mean recall on groups drawn with replacement, (_RESAMPLES,)."""
    rng = np.random.default_rng((0xB007, seed))  # a stream of its own, whatever else draws from this seed
    groups, flat = len(sums), sums.reshape(len(sums), -1)
    step = max(1, _BLOCK // groups)
    values = []
    for start in range(0, _RESAMPLES, step):
        size = min(step, _RESAMPLES - start)
        draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=size)
        values.append(_mean_recall((draws @ flat).reshape(size, *sums.shape[1:])))
    return np.concatenate(values)
