import numpy as np
import polars as pl

from gliascope.audit.facts import FolderLabels
from gliascope.audit.label_issues import LABEL_ISSUES_SCHEMA, find_label_issues

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
GROUP = 3
WIDTH = 1024


def clean(
    random: np.random.Generator, train: int = 120, test: int = 60, source: str = "one"
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """A catalogue frame, its true classes and features of its slices, in the order of their pixel hashes.

    Slices of a group are nearly alike. Each class has its own mean, the same in every source.
    """
    rows = [
        (part, label) for part, n in (("train", train), ("test", test)) for label in CLASSES for _ in range(n)
    ]
    truth = np.array([CLASSES.index(label) for _, label in rows])
    means = np.random.default_rng(7).normal(0, 0.3, (len(CLASSES), WIDTH))
    of_group = np.repeat(random.normal(size=(len(rows) // GROUP, WIDTH)), GROUP, axis=0)
    features = means[truth] + of_group + random.normal(0, 0.1, (len(rows), WIDTH))
    frame = pl.DataFrame(
        {
            "path": [f"{source}/{part}/{label}/{n}.png" for n, (part, label) in enumerate(rows)],
            "index": pl.Series([0] * len(rows), dtype=pl.Int32),
            "source": [source] * len(rows),
            "label": [label for _, label in rows],
            "official": [part for part, _ in rows],
            "pixel_hash": [f"{source}{n:06d}" for n in range(len(rows))],
        }
    )
    return frame, truth, features.astype(np.float32)


def groups_of(frame: pl.DataFrame) -> np.ndarray:
    return np.arange(frame.height) // GROUP


def relabelled(
    frame: pl.DataFrame, rows: np.ndarray, truth: np.ndarray, random: np.random.Generator
) -> pl.DataFrame:
    """The frame with another class for the given rows."""
    label = frame["label"].to_numpy().copy()
    label[rows] = np.array(CLASSES)[(truth[rows] + random.integers(1, 4, len(rows))) % 4]
    return frame.with_columns(label=pl.Series(label))


def test_planted_wrong_labels_are_found() -> None:
    random = np.random.default_rng(0)
    frame, truth, features = clean(random)
    wrong = np.flatnonzero(random.random(frame.height) < 0.05)
    found, folders = find_label_issues(relabelled(frame, wrong, truth, random), features, groups_of(frame), 0)
    assert found.schema == pl.Schema(LABEL_ISSUES_SCHEMA)
    planted = set(frame["path"][wrong])
    hits = planted & set(found["path"])
    assert len(hits) / len(planted) > 0.85
    assert len(hits) / found.height > 0.7
    proposed = found.filter(pl.col("path").is_in(hits)).join(frame.select("path", truth="label"), on="path")
    assert (proposed["new_label"] == proposed["truth"]).mean() > 0.9
    assert (proposed["evidence"] < 0.5).all()
    assert sum(folder.issues for folder in folders.values()) == found.height


def test_a_clean_set_has_few_label_issues_and_no_flagged_folder() -> None:
    for seed in range(5):
        frame, _, features = clean(np.random.default_rng(seed))
        found, folders = find_label_issues(frame, features, groups_of(frame), seed)
        assert found.height < 0.03 * frame.height
        assert not any(folder.flagged for folder in folders.values())
        assert len(folders) == 8


def test_a_wrong_test_folder_is_flagged_also_beside_another_source() -> None:
    random = np.random.default_rng(1)
    frame, truth, features = clean(random)
    other, _, more = clean(random, source="two")
    folder = np.flatnonzero(((frame["official"] == "test") & (frame["label"] == "glioma")).to_numpy())
    # The slices are of another class, and each is like its neighbours in the folder: a probe that had learnt
    # from the folder would agree with it.
    moved = features.copy()
    moved[folder[:48]] += features[truth == 1].mean(axis=0) - features[truth == 0].mean(axis=0)
    for sources, columns in (([frame], [moved]), ([frame, other], [moved, more])):
        both = pl.concat(sources)
        found, folders = find_label_issues(both, np.concatenate(columns), groups_of(both), 0)
        assert [name for name, values in folders.items() if values.flagged] == ["one: glioma/test"]
        assert folders["one: glioma/test"].recall < 0.4
        assert set(found.filter("flagged")["path"]) <= set(frame["path"][folder])
        assert found["flagged"].sum() > 10


def test_a_class_that_is_hard_everywhere_is_not_flagged() -> None:
    random = np.random.default_rng(2)
    frame, truth, features = clean(random)
    features[truth == 1] -= 0.8 * (features[truth == 1].mean(axis=0) - features[truth == 0].mean(axis=0))
    _, folders = find_label_issues(frame, features, groups_of(frame), 0)
    assert not any(folder.flagged for folder in folders.values())


def test_copies_are_judged_once_and_never_by_themselves() -> None:
    random = np.random.default_rng(3)
    frame, truth, features = clean(random)
    # One group is all of the wrong class, and its slices are copies of each other.
    frame = relabelled(frame, np.arange(GROUP), truth, random).with_columns(
        label=pl.when(pl.int_range(pl.len()) < GROUP).then(pl.lit("pituitary")).otherwise("label")
    )
    again = frame.head(1).with_columns(path=pl.lit("one/again.png"), source=pl.lit("two"))
    both = pl.concat([frame, again])
    groups = np.append(groups_of(frame), 0)
    found, folders = find_label_issues(both, features, groups, 0)
    assert set(frame["path"][:GROUP]) <= set(found["path"])
    assert "one/again.png" not in found["path"]
    assert folders["two: pituitary/train"] == FolderLabels(
        source="two", slices=1, issues=1, share=1.0, recall=0.0, flagged=False
    )


def test_too_few_groups_find_nothing() -> None:
    frame, _, features = clean(np.random.default_rng(4), train=6, test=3)
    found, folders = find_label_issues(frame, features, np.zeros(frame.height, np.int64), 0)
    assert found.is_empty()
    assert found.schema == pl.Schema(LABEL_ISSUES_SCHEMA)
    assert folders == {}


def test_a_set_without_parts_is_checked_by_folds() -> None:
    random = np.random.default_rng(5)
    frame, truth, features = clean(random)
    wrong = np.flatnonzero(random.random(frame.height) < 0.05)
    frame = relabelled(frame, wrong, truth, random).with_columns(official=pl.lit(None, pl.String))
    found, folders = find_label_issues(frame, features, groups_of(frame), 0)
    assert len(set(frame["path"][wrong]) & set(found["path"])) / len(wrong) > 0.75
    assert list(folders) == [f"one: {label}/all" for label in CLASSES]
