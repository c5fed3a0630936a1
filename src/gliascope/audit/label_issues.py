"""Label issues: slices, and whole folders, whose label a classifier on network embeddings contradicts.

A folder here is all slices of one source, class and subset, such as the glioma slices of a source's test set.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.audit.facts import FolderLabels
from gliascope.audit.grouped_evaluation import group_folds
from gliascope.runtime.progress import progress

LABEL_ISSUES_SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "index": pl.Int32,
    "label": pl.String,
    "evidence": pl.Float64,  # predicted probability of the given label
    "new_label": pl.String,  # most probable label
    "flagged": pl.Boolean,  # whether the folder as a whole is in doubt
}
SIGNIFICANCE = 0.05  # probability that any folder is flagged if all labels are right
_FOLDER = ("source", "label", "subset")
_C = 0.003  # inverse strength of the logistic regression's regularisation

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def find_label_issues(
    frame: pl.DataFrame, embeddings: NDArray[np.float32], groups: Rows, seed: int
) -> tuple[pl.DataFrame, dict[str, FolderLabels]]:
    """Find labels that are probably wrong.

    Each slice is classified by a logistic regression on standardised embeddings that was trained on no slice
    of its group. Slices of validation and test folders are classified without any of these folders: otherwise
    a folder that is wrong throughout would confirm itself. Slices are then chosen by confident learning.

    A folder is flagged if its share of label issues exceeds the error rate elsewhere; or if most of its
    slices are classified otherwise, and more than elsewhere. Elsewhere are, separately, the other folders of
    its class and the other classes of its subset. Differences must be significant over all folders, with the
    number of groups as the sample size.

    Parameters
    ----------
    frame
        Catalogue rows.
    embeddings
        Output of a frozen network for each distinct slice, float32 (distinct slices, d), in the order of
        sorted pixel hashes.
    groups
        int64 (rows,), equal for slices that no split may separate.
    seed
        Of the folds.

    Returns
    -------
    issues
        Slices with a label issue, in the columns of `LABEL_ISSUES_SCHEMA`.
    folders
        By folder, as "source: class/subset". Both are empty if there are too few groups.

    References
    ----------
    Northcutt, Jiang & Chuang, "Confident learning: estimating uncertainty in dataset labels",
    J. Artif. Intell. Res. 70:1373, 2021.
    """
    frame = frame.with_columns(group=pl.Series(groups), subset=pl.col("official").fill_null("all"))
    slices = frame.group_by("pixel_hash", "label", maintain_order=True).agg(
        pl.col("path", "index", "group").first(), held_out=pl.col("official").is_in(["val", "test"]).all()
    )
    classes = np.array(sorted(slices["label"].unique()))
    given = np.searchsorted(classes, slices["label"].to_numpy().astype(classes.dtype))
    rows = np.searchsorted(np.unique(frame["pixel_hash"]), slices["pixel_hash"].to_numpy())
    own_group, held_out = slices["group"].to_numpy(), slices["held_out"].fill_null(False).to_numpy()
    fold = _assign_folds(given, own_group, held_out, seed)
    if fold is None:
        return pl.DataFrame(schema=LABEL_ISSUES_SCHEMA), {}
    probabilities = _predict_out_of_fold(embeddings, rows, labels=given, groups=own_group, fold=fold)
    best = probabilities.argmax(axis=1)
    slices = slices.with_columns(
        evidence=pl.Series(probabilities[np.arange(len(given)), given]),
        new_label=pl.Series(classes[best]),
        agrees=pl.Series(best == given),
        issue=pl.Series(_confident_learning(given, probabilities)),
    )
    in_folders = frame.select("pixel_hash", *_FOLDER).unique().join(slices, on=["pixel_hash", "label"])
    folders = _flag_folders(_count_by_folder(in_folders))
    flagged = in_folders.join(folders.filter("flagged"), on=_FOLDER, how="semi")
    return _select_issues(slices, flagged), _folder_facts(folders)


def _select_issues(slices: pl.DataFrame, in_flagged_folders: pl.DataFrame) -> pl.DataFrame:
    """The slices with a label issue, the least probable label first, and whether their folder is flagged."""
    flagged = in_flagged_folders.select("pixel_hash", "label", flagged=pl.lit(True)).unique()
    issues = (
        slices.filter("issue")
        .join(flagged, on=["pixel_hash", "label"], how="left", maintain_order="left")
        .with_columns(pl.col("flagged").fill_null(False))
        .sort("evidence", "path")
    )
    return issues.select(list(LABEL_ISSUES_SCHEMA)).cast(LABEL_ISSUES_SCHEMA)  # type: ignore[arg-type]


def _assign_folds(labels: Rows, groups: Rows, held_out: NDArray[np.bool_], seed: int) -> Rows | None:
    """Fold of each slice: -1 for held-out slices, the others by group; None if there are too few groups.

    If a class could not be trained on without the groups of the held-out slices, no slice is held out.
    """
    trainable = ~held_out & ~np.isin(groups, groups[held_out])
    if len(np.unique(labels[trainable])) < labels.max() + 1:
        held_out = np.zeros_like(held_out)
    assigned = group_folds(labels[~held_out], groups[~held_out], seed)
    if assigned is None:
        return None
    fold = np.full(len(labels), -1, np.int64)
    fold[~held_out] = assigned
    return fold


def _predict_out_of_fold(
    embeddings: NDArray[np.float32], rows: Rows, *, labels: Rows, groups: Rows, fold: Rows
) -> Floats:
    """Probability of each class, float64 (slices, classes), by models trained on no slice of the same group.

    rows: row of `embeddings` of each slice, int64 (slices,), as are labels, groups and fold.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    probabilities = np.zeros((len(labels), labels.max() + 1))
    numbers = np.unique(fold)
    # One thread is hardly slower here, and much faster than two where something else is running.
    with threadpool_limits(1), progress("audit: labels", len(numbers)) as advance:
        for number in numbers:
            test = fold == number
            train = ~test & ~np.isin(groups, groups[test])
            inputs = embeddings[rows[train]]
            mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + np.float32(1e-6)
            inputs -= mean
            inputs /= spread
            model = LogisticRegression(C=_C, max_iter=1000).fit(inputs, labels[train])
            predicted = model.predict_proba((embeddings[rows[test]] - mean) / spread)
            probabilities[np.ix_(test, model.classes_)] = predicted
            advance(1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 sums to nearly one
    return probabilities


def _confident_learning(labels: Rows, probabilities: Floats) -> NDArray[np.bool_]:
    """Which labels are probably wrong, Boolean (slices,). probabilities: (slices, classes)."""
    from cleanlab import filter as cleanlab_filter

    # "both": pruned by class and by noise rate. On 5 % planted wrong labels it finds as many as either alone,
    # with fewer false ones.
    issues: NDArray[np.bool_] = cleanlab_filter.find_label_issues(
        labels, probabilities, filter_by="both", n_jobs=1
    )
    return issues


def _count_by_folder(in_folders: pl.DataFrame) -> pl.DataFrame:
    return (
        in_folders.group_by(_FOLDER)
        .agg(
            slices=pl.len(),
            groups=pl.col("group").n_unique(),
            issues=pl.col("issue").sum(),
            agreeing=pl.col("agrees").sum(),
        )
        .sort(_FOLDER)
        .with_columns(share=pl.col("issues") / pl.col("slices"), recall=pl.col("agreeing") / pl.col("slices"))
    )


def _flag_folders(folders: pl.DataFrame) -> pl.DataFrame:
    """Add column `flagged`, by the rule that `find_label_issues` describes."""
    wrong = 1 - folders["recall"]
    mostly_wrong = (wrong > 0.5).to_numpy() & _exceeds_elsewhere(folders, wrong)
    return folders.with_columns(
        flagged=pl.Series(mostly_wrong | _exceeds_elsewhere(folders, folders["share"]))
    )


def _exceeds_elsewhere(folders: pl.DataFrame, share: pl.Series) -> NDArray[np.bool_]:
    """Whether each folder's share significantly exceeds the error rate elsewhere, Boolean (folders,).

    One-sided Wald tests of the log-odds ratio, with Bonferroni's correction for the number of folders.
    """
    from scipy.special import ndtr

    here, variance = _log_odds(share, folders["groups"])
    exceeds = np.ones(folders.height, bool)
    for over in (["label"], ["source", "subset"]):
        agreeing, slices, groups = folders.select(
            pl.col(name).sum().over(over) - pl.col(name) for name in ("agreeing", "slices", "groups")
        )
        elsewhere, its_variance = _log_odds(1 - (agreeing / slices).fill_nan(0.5), groups)
        p_value = ndtr((elsewhere - here) / np.sqrt(variance + its_variance))
        exceeds &= p_value < SIGNIFICANCE / folders.height
    return exceeds


def _log_odds(share: pl.Series, groups: pl.Series) -> tuple[Floats, Floats]:
    """Log-odds of shares among so many groups, and their variance, float64 (folders,) each.

    Half a group is added to hits and misses, which keeps both finite (Haldane, "The estimation and
    significance of the logarithm of a ratio of frequencies", Ann. Hum. Genet. 20:309, 1956).
    """
    count = groups.to_numpy().astype(np.float64)
    hits = share.to_numpy() * count + 0.5
    misses = count + 1 - hits
    return np.log(hits / misses), 1 / hits + 1 / misses


def _folder_facts(folders: pl.DataFrame) -> dict[str, FolderLabels]:
    columns = ("source", "slices", "issues", "share", "recall", "flagged")
    return {
        f"{row['source']}: {row['label']}/{row['subset']}": FolderLabels(
            **{name: row[name] for name in columns}
        )
        for row in folders.iter_rows(named=True)
    }
