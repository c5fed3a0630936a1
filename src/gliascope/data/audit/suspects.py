"""Likely wrong labels: slices, and whole folders, that a probe on a frozen network's features contradicts."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.audit.probe import folds
from gliascope.progress import progress

SUSPECTS_SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "index": pl.Int32,
    "label": pl.String,
    "evidence": pl.Float64,  # the probe's probability of the label it has
    "new_label": pl.String,  # the probe's most probable label
    "flagged": pl.Boolean,  # whether its folder as a whole is in doubt
}
SIGNIFICANCE = 0.05  # that any clean folder is flagged
_FOLDER = ("source", "label", "part")
_C = 0.003

Floats = NDArray[np.float64]


def suspects(
    frame: pl.DataFrame, features: NDArray[np.float32], groups: NDArray[np.int64], seed: int
) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
    """Find likely wrong labels in a catalogue frame: slices (of SUSPECTS_SCHEMA), and folders by name.

    features: float32 (distinct slices, d), in the order of their sorted pixel hashes. groups: (rows,), equal
    for slices that no split may part. Each slice is judged by a probe (standardised features, logistic
    regression) that saw no slice of its group, nor, for a validation or test folder, any of these folders: a
    folder that is wrong throughout is not learnt from itself. Slices are chosen by confident learning
    (Northcutt et al. 2021, J. Artif. Intell. Res. 70:1373). Both are empty where there are too few groups.

    A folder is flagged where more of its slices are suspects than are taken for another class at all, both in
    the other folders of its class and among the other classes of its part; or where most of its slices are
    taken for another class, and more than in either. "More" is significant, over all folders, with groups as
    the sample size.
    """
    frame = frame.with_columns(group=pl.Series(groups), part=pl.col("official").fill_null("all"))
    judged = frame.group_by("pixel_hash", "label", maintain_order=True).agg(
        pl.col("path", "index", "group").first(), apart=pl.col("official").is_in(["val", "test"]).all()
    )
    classes = np.array(sorted(judged["label"].unique()))
    given = np.searchsorted(classes, judged["label"].to_numpy().astype(classes.dtype))
    rows = np.searchsorted(np.unique(frame["pixel_hash"]), judged["pixel_hash"].to_numpy())
    fold = _folds(given, judged["group"].to_numpy(), judged["apart"].fill_null(False).to_numpy(), seed)
    if fold is None:
        return pl.DataFrame(schema=SUSPECTS_SCHEMA), {}
    probabilities = _probe(features, rows, given, judged["group"].to_numpy(), fold)
    best = probabilities.argmax(axis=1)
    judged = judged.with_columns(
        evidence=pl.Series(probabilities[np.arange(len(given)), given]),
        new_label=pl.Series(classes[best]),
        right=pl.Series(best == given),
        suspect=pl.Series(_unlikely(given, probabilities)),
    )
    on_folders = frame.select("pixel_hash", *_FOLDER).unique().join(judged, on=["pixel_hash", "label"])
    folders = _flag(_count(on_folders))
    return _found(judged, on_folders.join(folders.filter("flagged"), on=_FOLDER, how="semi")), _facts(folders)


def _found(judged: pl.DataFrame, in_doubt: pl.DataFrame) -> pl.DataFrame:
    """The suspects, the least likely label first; flagged where they are of a folder in doubt."""
    flagged = in_doubt.select("pixel_hash", "label", flagged=pl.lit(True)).unique()
    found = (
        judged.filter("suspect")
        .join(flagged, on=["pixel_hash", "label"], how="left", maintain_order="left")
        .with_columns(pl.col("flagged").fill_null(False))
        .sort("evidence", "path")
    )
    return found.select(list(SUSPECTS_SCHEMA)).cast(SUSPECTS_SCHEMA)  # type: ignore[arg-type]


def _folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], apart: NDArray[np.bool_], seed: int
) -> NDArray[np.int64] | None:
    """Fold of each slice: -1 for those apart, the rest dealt by group.

    None is apart where a class could not be learnt from what shares no group with those.
    """
    learnt = ~apart & ~np.isin(groups, groups[apart])
    if len(np.unique(labels[learnt])) < labels.max() + 1:
        apart = np.zeros_like(apart)
    dealt = folds(labels[~apart], groups[~apart], seed)
    if dealt is None:
        return None
    fold = np.full(len(labels), -1, np.int64)
    fold[~apart] = dealt
    return fold


def _probe(
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    fold: NDArray[np.int64],
) -> Floats:
    """Probability of each class, (n, classes), by probes that saw no slice of the group they judge."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    probabilities = np.zeros((len(labels), labels.max() + 1))
    numbers = np.unique(fold)
    # One thread is hardly slower here, and much faster than two where something else is running.
    with threadpool_limits(1), progress("audit: labels", len(numbers)) as advance:
        for number in numbers:
            test = fold == number
            train = ~test & ~np.isin(groups, groups[test])
            learn = features[rows[train]]
            mean, spread = learn.mean(axis=0), learn.std(axis=0) + np.float32(1e-6)
            learn -= mean
            learn /= spread
            probe = LogisticRegression(C=_C, max_iter=1000).fit(learn, labels[train])
            chance = probe.predict_proba((features[rows[test]] - mean) / spread)
            probabilities[np.ix_(test, probe.classes_)] = chance
            advance(1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 sums to nearly one
    return probabilities


def _unlikely(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.bool_]:
    from cleanlab.filter import find_label_issues

    # "both": pruned by class and by noise rate. On 5 % planted wrong labels it finds as many as either alone,
    # with fewer false ones.
    issues: NDArray[np.bool_] = find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    return issues


def _count(on_folders: pl.DataFrame) -> pl.DataFrame:
    return (
        on_folders.group_by(_FOLDER)
        .agg(
            slices=pl.len(),
            groups=pl.col("group").n_unique(),
            suspects=pl.col("suspect").sum(),
            right=pl.col("right").sum(),
        )
        .sort(_FOLDER)
        .with_columns(share=pl.col("suspects") / pl.col("slices"), recall=pl.col("right") / pl.col("slices"))
    )


def _flag(folders: pl.DataFrame) -> pl.DataFrame:
    """Add column `flagged`; see `suspects` for the rule."""
    wrong = 1 - folders["recall"]
    mostly_wrong = (wrong > 0.5).to_numpy() & _exceeds_elsewhere(folders, wrong)
    return folders.with_columns(
        flagged=pl.Series(mostly_wrong | _exceeds_elsewhere(folders, folders["share"]))
    )


def _exceeds_elsewhere(folders: pl.DataFrame, share: pl.Series) -> NDArray[np.bool_]:
    """Whether a share of each folder is above the share that is taken for another class elsewhere.

    Elsewhere: the same class in other folders, and the other classes of the same part. Wald tests of the
    log-odds ratio, one-sided.
    """
    from scipy.special import ndtr

    here, noise = _log_odds(share, folders["groups"])
    exceeds = np.ones(folders.height, bool)
    for over in (["label"], ["source", "part"]):
        right, slices, groups = folders.select(
            pl.col(name).sum().over(over) - pl.col(name) for name in ("right", "slices", "groups")
        )
        elsewhere, more = _log_odds(1 - (right / slices).fill_nan(0.5), groups)
        exceeds &= ndtr((elsewhere - here) / np.sqrt(noise + more)) < SIGNIFICANCE / folders.height
    return exceeds


def _log_odds(share: pl.Series, groups: pl.Series) -> tuple[Floats, Floats]:
    """Log-odds of a share and their variance; half a group more of both keeps them finite (Haldane 1956)."""
    count = groups.to_numpy().astype(np.float64)
    hits = share.to_numpy() * count + 0.5
    misses = count + 1 - hits
    return np.log(hits / misses), 1 / hits + 1 / misses


def _facts(folders: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The folders as `suspect_labels` of audit.json."""
    columns = ("source", "slices", "suspects", "share", "recall", "flagged")
    return {
        f"{row['source']}: {row['label']}/{row['part']}": {name: row[name] for name in columns}
        for row in folders.iter_rows(named=True)
    }
