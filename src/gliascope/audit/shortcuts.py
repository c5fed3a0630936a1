"""Shortcuts: how well classifiers that see no anatomy predict the label.

Each probe is a random forest on input features from one place: the files' headers, the border and background
of the slices, or the name of the source.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from gliascope.audit.border_features import border_features
from gliascope.audit.copies import thumbnail_array
from gliascope.audit.facts import UNDEFINED, Estimate, FeatureScore, ShortcutProbe
from gliascope.audit.grouped_evaluation import balanced_accuracy, group_folds
from gliascope.preprocessing.head import head_box
from gliascope.runtime.executors import cores

LIMIT = 12_000  # slices that are used; more of them change no conclusion
TREES, FEATURE_TREES = 100, 30  # of the forest on all features, and on each feature by itself
NO_TUMOR = "no_tumor"
OFFICIAL = "official test"

Features = dict[str, NDArray[np.float32]]  # by name, (rows, columns) each
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _TestPlan:
    """Which rows are trained on and which are tested.

    truth, groups: class number and group of each row, int64 (rows,). tested_on: in words. folds: pairs of
    training rows and test rows. seed: of forests and bootstrap.
    """

    truth: Rows
    groups: Rows
    tested_on: str
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    seed: int

    @property
    def test_rows(self) -> NDArray[np.intp]:
        """All rows that are tested."""
        return np.concatenate([test for _, test in self.folds])

    def without_copies(self) -> "_TestPlan":
        """The same plan, without training rows whose group reaches into the test rows."""
        folds = [(train[~np.isin(self.groups[train], self.groups[test])], test) for train, test in self.folds]
        return replace(self, folds=folds)

    def score(self, table: NDArray[np.float32], trees: int) -> Estimate:
        """Balanced accuracy of forests on a table (rows, columns); undefined if training lacks a class."""
        count = len(np.unique(self.truth))
        if (table == table[0]).all():
            return Estimate(value=1 / count, low=1 / count, high=1 / count)
        if any(len(np.unique(self.truth[train])) < count for train, _ in self.folds):
            return UNDEFINED
        predicted = np.concatenate([self._predict(table, train, test, trees) for train, test in self.folds])
        rows = self.test_rows
        return balanced_accuracy(self.truth[rows], predicted, self.groups[rows], self.seed)

    def _predict(
        self, table: NDArray[np.float32], train: NDArray[np.intp], test: NDArray[np.intp], trees: int
    ) -> Rows:
        from sklearn.ensemble import RandomForestClassifier

        threads = cores() if len(train) > 2000 else 1  # on few rows, threads cost more than they give
        forest = RandomForestClassifier(
            trees, class_weight="balanced", n_jobs=threads, random_state=self.seed
        )
        forest.fit(table[train], self.truth[train])
        forest.n_jobs = 1  # threads would add up the trees' votes in any order, and so round differently
        predicted: Rows = forest.predict(table[test])
        return predicted


def find_shortcuts(frame: pl.DataFrame, groups: Rows, seed: int) -> dict[str, ShortcutProbe]:
    """Measure how well the label is predicted from what surrounds the anatomy.

    Probes are tested on the official test sets if all sources have one, otherwise by cross-validation over
    groups. On official test sets each probe is tested a second time without the training slices whose group
    reaches into the test set. Single features are only tested without these: otherwise whatever identifies
    a file would seem to predict the label.

    Parameters
    ----------
    frame
        Catalogue rows with thumbnails.
    groups
        int64 (rows,), equal for slices that no split may separate.
    seed
        Of the sample, the folds, the forests and the bootstrap.

    Returns
    -------
    dict
        Probes "header", "border", "border_after_crop" (to the head) and, of several sources, "source".
    """
    sample = _sample_rows(groups, seed)
    frame, groups = frame[sample], groups[sample]
    thumbnails = thumbnail_array(frame["thumbnail"])
    inputs = {
        "header": header_features(frame),
        "border": border_features(thumbnails),
        "border_after_crop": border_features(np.stack([_crop_to_head(one) for one in thumbnails])),
    }
    if frame["source"].n_unique() > 1:
        inputs["source"] = {"source": _column(_codes(frame["source"]))}
    task, labels = _choose_task(frame["label"])
    classes = tuple(sorted(labels.unique()))
    plan = _plan_test(frame, np.searchsorted(classes, labels.to_numpy()), groups, seed)
    return {name: _probe(plan, features, task, classes) for name, features in inputs.items()}


def header_features(frame: pl.DataFrame) -> Features:
    """What a catalogue knows of each file besides its pixels, by name, (rows, 1) each; -1 where unknown."""
    area = pl.col("width") * pl.col("height")
    slices = pl.len().over("root", "path")  # in the same file
    columns = frame.select(
        pl.col("width", "height"),
        (pl.col("width") / pl.col("height")).alias("aspect ratio"),
        (pl.col("bytes") / (area * slices)).alias("bytes per pixel"),
        pl.col("channels"),
        _codes(frame["mode"]).alias("colour mode"),
        _codes(frame["format"]).alias("file format"),
        pl.col("quantisation").alias("JPEG quantisation"),
        pl.col("spacing_row").alias("pixel spacing"),
    )
    return {name: _column(columns[name]) for name in columns.columns}


def _sample_rows(groups: Rows, seed: int) -> NDArray[np.intp]:
    """Rows, in order, of groups drawn at random up to LIMIT rows; all rows if there are no more."""
    codes = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng((0x5A3, seed)).permutation(codes.max() + 1)
    rank = np.argsort(order)
    last = np.cumsum(np.bincount(codes)[order])
    return np.flatnonzero(last[rank[codes]] <= max(LIMIT, last[0]))


def _crop_to_head(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop a thumbnail, uint8 (64, 64), to the head as preprocessing does, and resize it back."""
    top, bottom, left, right = head_box(thumbnail)
    return np.asarray(
        Image.fromarray(thumbnail).resize(
            thumbnail.shape, Image.Resampling.BILINEAR, (left, top, right, bottom)
        )
    )


def _codes(names: pl.Series) -> pl.Series:
    """Number names in alphabetical order, from 1."""
    return names.rank("dense")


def _column(values: pl.Series) -> NDArray[np.float32]:
    return values.cast(pl.Float32).fill_null(-1).to_numpy()[:, None]


def _choose_task(labels: pl.Series) -> tuple[str, pl.Series]:
    """The task in words, and the label of each row: tumour or not if there are both, else the class."""
    if (labels == NO_TUMOR).any() and (labels != NO_TUMOR).any():
        kinds = [label for label in labels.unique() if label != NO_TUMOR]
        return "tumour or no tumour", labels.replace(kinds, ["tumor"] * len(kinds))
    return "all classes", labels


def _plan_test(frame: pl.DataFrame, truth: Rows, groups: Rows, seed: int) -> _TestPlan | None:
    """Plan the test on unseen groups; None if there are too few groups."""
    is_test = (frame["official"] == "test").fill_null(False)
    sources_with_test = frame.filter(is_test)["source"].n_unique()
    test = is_test.to_numpy()
    everywhere = all(len(np.unique(truth[rows])) == truth.max() + 1 for rows in (test, ~test))
    if sources_with_test == frame["source"].n_unique() and everywhere:
        return _TestPlan(truth, groups, OFFICIAL, [(np.flatnonzero(~test), np.flatnonzero(test))], seed)
    fold = group_folds(truth, groups, seed)
    if fold is None:
        return None
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
    return _TestPlan(truth, groups, f"cross-validation by group, {len(folds)} folds", folds, seed)


def _probe(plan: _TestPlan | None, features: Features, task: str, classes: tuple[str, ...]) -> ShortcutProbe:
    chance = 1 / len(classes)
    if plan is None:
        return ShortcutProbe(
            task=task,
            classes=classes,
            chance=chance,
            balanced_accuracy=UNDEFINED,
            without_copies=None,
            tested_on="nothing: a class is in a single group",
            slices=0,
            features=(),
        )
    table = np.concatenate(list(features.values()), axis=1)
    clean = plan.without_copies() if plan.tested_on == OFFICIAL else plan
    alone = [(name, clean.score(one, FEATURE_TREES).value) for name, one in features.items()]
    ranked = sorted(alone, key=lambda feature: -(feature[1] or 0.0))
    return ShortcutProbe(
        task=task,
        classes=classes,
        chance=chance,
        balanced_accuracy=plan.score(table, TREES),
        without_copies=None if clean is plan else clean.score(table, TREES),
        tested_on=plan.tested_on,
        slices=len(plan.test_rows),
        features=tuple(FeatureScore(name=name, balanced_accuracy=value) for name, value in ranked),
    )
