"""Shortcuts: how well the label is told with no anatomy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from gliascope.data.audit.border import border
from gliascope.data.audit.copies import images
from gliascope.data.audit.probe import balanced_accuracy, folds, undefined
from gliascope.data.head import head_box
from gliascope.data.parallel import cores

LIMIT = 12_000  # slices a probe looks at; more of them changes no conclusion
TREES, FACT_TREES = 100, 30
NO_TUMOR = "no_tumor"
OFFICIAL = "official test"

Tables = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _Trial:
    """truth, groups: (rows,) class numbers and groups. plan: pairs of rows to train on and to test on."""

    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    tested_on: str
    plan: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    seed: int

    @property
    def rows(self) -> NDArray[np.intp]:
        """Rows that are tested."""
        return np.concatenate([test for _, test in self.plan])

    def without_copies(self) -> "_Trial":
        """The same with training rows left out whose group reaches into the test."""
        plan = [(train[~np.isin(self.groups[train], self.groups[test])], test) for train, test in self.plan]
        return replace(self, plan=plan)

    def score(self, table: NDArray[np.float32], trees: int) -> dict[str, float | None]:
        """Balanced accuracy of a forest on a table; undefined where training lacks a class."""
        count = len(np.unique(self.truth))
        if (table == table[0]).all():
            return dict.fromkeys(("value", "low", "high"), 1 / count)
        if any(len(np.unique(self.truth[train])) < count for train, _ in self.plan):
            return undefined()
        predicted = np.concatenate([self._predict(table, train, test, trees) for train, test in self.plan])
        return balanced_accuracy(self.truth[self.rows], predicted, self.groups[self.rows], self.seed)

    def _predict(
        self, table: NDArray[np.float32], train: NDArray[np.intp], test: NDArray[np.intp], trees: int
    ) -> NDArray[np.int64]:
        from sklearn.ensemble import RandomForestClassifier

        threads = cores() if len(train) > 2000 else 1  # on few rows, threads cost more than they give
        forest = RandomForestClassifier(
            trees, class_weight="balanced", n_jobs=threads, random_state=self.seed
        )
        forest.fit(table[train], self.truth[train])
        forest.n_jobs = 1  # threads would add up the trees' votes in any order, and so round differently
        predicted: NDArray[np.int64] = forest.predict(table[test])
        return predicted


def shortcuts(frame: pl.DataFrame, groups: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Tell the label of each slice of a catalogue frame from what surrounds the anatomy; see audit.json.

    groups: (rows,), equal for slices that no split may part. Each probe is a random forest on the files'
    headers; on border and background, as they are and after cropping to the head; or on the source's name,
    where there are several. It is tested on the official test set where all sources have one. Then
    `without_copies` is the same with training slices left out whose group reaches into the test set; else
    it is null, as cross-validation never parts a group. Each fact alone is tested without copies, too: else
    whatever tells files apart seems to tell the label. Undefined numbers are null.
    """
    chosen = _sample(groups, seed)
    frame, groups = frame[chosen], groups[chosen]
    thumbnails = images(frame["thumbnail"])
    probes = {
        "header": header(frame),
        "border": border(thumbnails),
        "border_after_crop": border(np.stack([_cropped(thumbnail) for thumbnail in thumbnails])),
    }
    if frame["source"].n_unique() > 1:
        probes["source"] = {"source": _column(_codes(frame["source"]))}
    task, labels = _task(frame["label"])
    classes = sorted(labels.unique())
    trial = _trial(frame, np.searchsorted(classes, labels.to_numpy()), groups, seed)
    common = {"task": task, "classes": classes, "chance": 1 / len(classes)}
    return {name: common | _probe(trial, tables) for name, tables in probes.items()}


def header(frame: pl.DataFrame) -> Tables:
    """What is known of each file without its pixels, by name, (rows, 1) each; -1 where unknown."""
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


def _sample(groups: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    """Rows of groups drawn at random until LIMIT is reached, in order; all where there are not more."""
    codes = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng((0x5A3, seed)).permutation(codes.max() + 1)
    rank = np.argsort(order)
    last = np.cumsum(np.bincount(codes)[order])
    return np.flatnonzero(last[rank[codes]] <= max(LIMIT, last[0]))


def _cropped(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What `Preprocessing` with a crop to the head would leave of it, at the thumbnail's size."""
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


def _task(labels: pl.Series) -> tuple[str, pl.Series]:
    """Tumour or not, where the set has both; else the class."""
    if (labels == NO_TUMOR).any() and (labels != NO_TUMOR).any():
        kinds = [label for label in labels.unique() if label != NO_TUMOR]
        return "tumour or no tumour", labels.replace(kinds, ["tumor"] * len(kinds))
    return "all classes", labels


def _trial(
    frame: pl.DataFrame, truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> _Trial | None:
    """How these slices can be told apart on unseen ones; None where there are too few groups."""
    is_test = (frame["official"] == "test").fill_null(False)
    sources_with_test = frame.filter(is_test)["source"].n_unique()
    test = is_test.to_numpy()
    everywhere = all(len(np.unique(truth[part])) == truth.max() + 1 for part in (test, ~test))
    if sources_with_test == frame["source"].n_unique() and everywhere:
        return _Trial(truth, groups, OFFICIAL, [(np.flatnonzero(~test), np.flatnonzero(test))], seed)
    fold = folds(truth, groups, seed)
    if fold is None:
        return None
    plan = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
    return _Trial(truth, groups, f"cross-validation by group, {len(plan)} folds", plan, seed)


def _probe(trial: _Trial | None, tables: Tables) -> dict[str, Any]:
    if trial is None:
        return {
            "balanced_accuracy": undefined(),
            "without_copies": None,
            "tested_on": "nothing: a class is in a single group",
            "slices": 0,
            "facts": [],
        }
    everything = np.concatenate(list(tables.values()), axis=1)
    apart = trial.without_copies() if trial.tested_on == OFFICIAL else trial
    alone = [(name, apart.score(table, FACT_TREES)["value"]) for name, table in tables.items()]
    ranked = sorted(alone, key=lambda fact: -(fact[1] or 0.0))
    return {
        "balanced_accuracy": trial.score(everything, TREES),
        "without_copies": None if apart is trial else apart.score(everything, TREES),
        "tested_on": trial.tested_on,
        "slices": len(trial.rows),
        "facts": [{"name": name, "balanced_accuracy": value} for name, value in ranked],
    }
