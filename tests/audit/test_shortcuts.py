import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gliascope.audit.facts import UNDEFINED
from gliascope.audit.shortcuts import find_shortcuts
from gliascope.dataset.groups import number_groups
from gliascope.dataset.scan import scan

SLICES = 120
DATA = os.environ.get("GLIASCOPE_DATA")


def heads(count: int, random: np.random.Generator) -> np.ndarray:
    """Noisy discs on black, (count, 64, 64): nothing tells them apart."""
    y, x = np.mgrid[:64, :64]
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 24**2
    return (random.integers(60, 200, (count, 64, 64)) * disc).astype(np.uint8)


def catalogue(labels: list[str], thumbnails: np.ndarray, **columns: object) -> pl.DataFrame:
    """A catalogue frame of one-slice files whose columns are all alike, but for those given."""
    count = len(labels)
    usual = {
        "root": "/",
        "source": "one",
        "official": pl.lit(None, pl.String),
        "format": "jpeg",
        "height": 240,
        "width": 240,
        "channels": 1,
        "mode": "L",
        "quantisation": pl.lit(None, pl.Float64),
        "spacing_row": pl.lit(None, pl.Float64),
        "bytes": 9000,
    }
    frame = pl.DataFrame(
        {
            "path": [f"one/{number}.jpg" for number in range(count)],
            "label": labels,
            "thumbnail": [image.tobytes() for image in thumbnails],
        }
    )
    plain = {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in usual.items()}
    return frame.with_columns(**plain).with_columns(**{n: pl.Series(v) for n, v in columns.items()})


def two_classes(random: np.random.Generator, count: int = SLICES) -> list[str]:
    return random.choice(["glioma", "no_tumor"], count).tolist()


def test_a_shortcut_in_the_header_is_found_and_named() -> None:
    random = np.random.default_rng(0)
    labels = two_classes(random)
    width = np.where(np.array(labels) == "glioma", 200, 240) + random.integers(0, 30, SLICES)
    frame = catalogue(labels, heads(SLICES, random), width=width)
    found = find_shortcuts(frame, np.arange(SLICES), 0)
    assert found["header"].balanced_accuracy.low > 0.9
    assert [feature.name for feature in found["header"].features[:3]] == [
        "width",
        "aspect ratio",
        "bytes per pixel",
    ]
    assert found["header"].features[-1].balanced_accuracy == 0.5
    assert found["header"].classes == ("no_tumor", "tumor")
    assert found["header"].tested_on.startswith("cross-validation")
    assert found["border"].balanced_accuracy.value == 0.5
    assert "source" not in found


def test_a_shortcut_in_the_border_is_found_and_cropping_removes_it() -> None:
    random = np.random.default_rng(1)
    labels = two_classes(random)
    images = heads(SLICES, random)
    for image, label in zip(images, labels, strict=True):
        image[:, :] = np.roll(image, (-6 if label == "glioma" else 6) + random.integers(-2, 2), axis=0)
    found = find_shortcuts(catalogue(labels, images), np.arange(SLICES), 0)
    assert found["border"].balanced_accuracy.low > 0.9
    assert found["border"].features[0].name == "dark margin"
    assert found["border_after_crop"].balanced_accuracy.low < 0.55
    assert found["header"].balanced_accuracy.value == 0.5


def test_background_noise_is_a_shortcut_that_cropping_leaves() -> None:
    random = np.random.default_rng(2)
    labels = two_classes(random)
    images = heads(SLICES, random)
    for image, label in zip(images, labels, strict=True):
        image[image == 0] = 4 if label == "glioma" else 0
    found = find_shortcuts(catalogue(labels, images), np.arange(SLICES), 0)
    assert found["border"].features[0].balanced_accuracy > 0.95
    assert found["border_after_crop"].balanced_accuracy.low > 0.9


def test_no_probe_beats_chance_where_labels_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliascope.audit.shortcuts.TREES", 20)
    monkeypatch.setattr("gliascope.audit.shortcuts.FEATURE_TREES", 2)
    intervals = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        labels = random.choice(["glioma", "meningioma", "pituitary"], SLICES).tolist()
        columns = {name: random.integers(100, 400, SLICES) for name in ("width", "height", "bytes")}
        columns["source"] = random.choice(["one", "two"], SLICES)
        frame = catalogue(labels, heads(SLICES, random), **columns)
        found = find_shortcuts(frame, random.integers(0, 100, SLICES), seed)
        assert {(probe.task, len(probe.classes)) for probe in found.values()} == {("all classes", 3)}
        intervals += [probe.balanced_accuracy for probe in found.values()]
    above = [interval for interval in intervals if interval.low > 1 / 3]
    assert len(intervals) == 24
    assert len(above) <= 2  # 2.5 % are expected
    assert all(interval.high - interval.low < 0.3 for interval in intervals)


def test_copies_of_test_slices_in_training_are_no_shortcut() -> None:
    random = np.random.default_rng(3)
    half = SLICES // 2
    labels = two_classes(random, half) * 2
    size = np.tile(random.integers(5000, 90_000, half), 2)
    images = np.tile(heads(half, random), (2, 1, 1))
    official = ["train"] * half + ["test"] * half
    frame = catalogue(labels, images, bytes=size, official=official)
    # Half of the test slices have their copy in training; the others' copies are known by no group.
    groups = np.tile(np.arange(half), 2)
    groups[half + half // 2 :] += half
    extra = catalogue(two_classes(random), heads(SLICES, random), bytes=random.integers(5000, 90_000, SLICES))
    extra = extra.with_columns(official=pl.lit("train"), path=pl.lit("more/") + pl.col("path"))
    frame = pl.concat([frame, extra.select(frame.columns)], how="vertical_relaxed")
    header = find_shortcuts(frame, np.concatenate([groups, np.arange(1000, 1000 + SLICES)]), 0)["header"]
    assert header.tested_on == "official test"
    assert header.slices == half
    assert header.balanced_accuracy.value > 0.95
    assert 0.6 < header.without_copies.value < 0.9


def test_where_the_source_tells_the_label() -> None:
    random = np.random.default_rng(4)
    labels = two_classes(random)
    source = np.where(random.random(SLICES) < 0.9, labels, "else")
    found = find_shortcuts(catalogue(labels, heads(SLICES, random), source=source), np.arange(SLICES), 0)
    assert found["source"].balanced_accuracy.low > 0.85


def test_few_slices_and_single_groups_are_undefined_and_never_crash() -> None:
    random = np.random.default_rng(5)
    labels = ["glioma"] * 10 + ["no_tumor"] * 10
    frame = catalogue(labels, heads(20, random), width=[200] * 10 + [240] * 10)
    small = find_shortcuts(frame, np.arange(20), 0)["header"].balanced_accuracy
    assert small.value == 1
    assert small.low == pytest.approx(0.025 ** (1 / 10))  # all of ten right
    single = find_shortcuts(frame, np.repeat([0, 1], 10), 0)
    for probe in single.values():
        assert probe.balanced_accuracy == UNDEFINED


@pytest.mark.skipif(not DATA, reason="GLIASCOPE_DATA does not name the folder of real slices")
@pytest.mark.parametrize(("name", "low", "high"), [("masoud7023", 0.93, 0.96), ("ct", 0.95, 1)])
def test_headers_of_public_sets_give_the_label_away(name: str, low: float, high: float) -> None:
    frame = scan([Path(str(DATA)) / name]).with_thumbnails()
    header = find_shortcuts(frame, number_groups(frame), 0)["header"]
    assert low <= header.balanced_accuracy.value <= high
