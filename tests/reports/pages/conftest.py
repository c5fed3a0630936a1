"""A small catalogue, and an audit of it made by hand."""

import shutil

import polars as pl
import pytest
from PIL import Image, ImageOps

from gliascope.audit.facts import AuditFacts
from gliascope.audit.result import (
    DECISIONS_SCHEMA,
    GROUPS_SCHEMA,
    PAIRS_SCHEMA,
    QUALITY_ISSUES_SCHEMA,
    Audit,
)
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan

TRAIN, TEST, OTHER = "one/Training/glioma/000.png", "one/Testing/glioma/mirror.png", "two/no/000.png"
HOSTILE = '<script>alert("x")</script>.png'


@pytest.fixture
def catalog(make_source) -> Catalog:
    """A mirrored copy and an identical one in the test folder; one slice is in two sources, of two labels."""
    one = make_source(
        {"Training/glioma": 6, "Training/notumor": 6, "Testing/glioma": 2, "Testing/notumor": 2}, "one"
    )
    two = make_source({"glioma": 3, "no": 3}, "two", seed=1)
    image = Image.open(one / "Training/glioma/000.png")
    ImageOps.mirror(image).save(one / "Testing/glioma/mirror.png")
    shutil.copy(one / "Training/notumor/000.png", one / "Testing/notumor/same.png")
    image.point(lambda value: value + 1).save(two / "no/000.png")
    shutil.copy(two / "glioma/000.png", two / "glioma" / HOSTILE.replace("/", "\N{DIVISION SLASH}"))
    return scan([one, two])


@pytest.fixture
def audit(catalog) -> Audit:
    hashes = dict(catalog.frame.select("path", "pixel_hash").iter_rows())
    near = {(TRAIN, TEST): (0.999, "flip"), (TRAIN, OTHER): (0.99, "none"), (TEST, OTHER): (0.985, "flip")}
    pairs = [(*sorted((hashes[a], hashes[b])), *found, False) for (a, b), found in near.items()]
    chain = {hashes[path]: 0 for pair in near for path in pair}
    distinct = catalog.frame["pixel_hash"].unique(maintain_order=True)
    groups = [(name, chain.get(name, number)) for number, name in enumerate(distinct, start=1)]
    issues = [("one/Testing/glioma/000.png", "glioma", 0.02), ("two/glioma/001.png", "glioma", 0.1)]
    nothing = {"path": None, "index": 0, "label": None, "other_path": None, "other_index": None}
    decisions = [
        nothing
        | {"kind": "suspect_label", "path": path, "label": label, "evidence": own, "new_label": "no_tumor"}
        for path, label, own in issues
    ]
    decisions += [
        nothing | {"kind": "pair", "path": TRAIN, "other_path": OTHER, "other_index": 0, "evidence": 0.981}
    ]
    return Audit(
        facts(catalog.frame),
        pl.DataFrame(groups, GROUPS_SCHEMA, orient="row"),
        pl.DataFrame(pairs, PAIRS_SCHEMA, orient="row"),
        pl.DataFrame(
            [("one/Training/notumor/001.png", 0, "near-blank", "a spread of 3")],
            QUALITY_ISSUES_SCHEMA,
            orient="row",
        ),
        pl.DataFrame(decisions, DECISIONS_SCHEMA),
    )


def facts(frame: pl.DataFrame) -> AuditFacts:
    tested = {
        "test_slices": 6,
        "test_slices_with_training_twin": 1,
        "test_slices_with_training_twin_any_transform": 2,
        "test_twins_by_class": {
            "glioma": {"test_slices": 3, "twin": 0, "twin_any_transform": 1},
            "no_tumor": {"test_slices": 3, "twin": 1, "twin_any_transform": 1},
        },
    }
    source = {"files": 18, "slices": 18, "distinct_files": 17, "distinct_slices": 17, "mixed_label_groups": 0}
    source |= {"classes": {"glioma": 9, "no_tumor": 9}, "identical_groups_across_splits": 1}
    probe = {
        "task": "glioma or no_tumor",
        "classes": ["glioma", "no_tumor"],
        "chance": 0.5,
        "balanced_accuracy": {"value": 0.95, "low": 0.9, "high": 0.99},
        "without_copies": {"value": 0.913, "low": 0.8, "high": 0.97},
        "tested_on": "groups held out",
        "slices": 20,
        "facts": [
            {"name": "bytes per pixel", "balanced_accuracy": 0.9},
            {"name": "width", "balanced_accuracy": None},
        ],
    }
    folder = {"source": "one", "slices": 3, "suspects": 1, "share": 0.333, "recall": 0.25, "flagged": True}
    content = {
        "title": "one, two",
        "notice": "",
        "created": "2026-11-21T17:36:20+00:00",
        "gliascope": "0.1.0",
        "slices": frame.height,
        "distinct_slices": 23,
        "settings": {"threshold": 0.98, "doubtful_from": 0.97, "recall_of_search": 1.0},
        "sources": {
            "one": source | tested,
            "two": source | dict.fromkeys(tested) | {"test_twins_by_class": None},
        },
        "patients": {},
        "between_sources": [
            {
                "a": "one",
                "b": "two",
                "identical_files": {"one": 0, "two": 0},
                "twins": {"one": 1, "two": 1},
                "twins_any_transform": {"one": 2, "two": 1},
            }
        ],
        "copies": {"identical_files": 2, "identical_pixels": 2, "pairs": {"none": 1, "flip": 2}},
        "groups": {
            "count": 22,
            "largest": [
                {
                    "slices": 3,
                    "labels": {"glioma": 2, "no_tumor": 1},
                    "sources": {"one": 2, "two": 1},
                    "paths": [TRAIN, TEST, OTHER],
                }
            ],
            "mixed_labels": 1,
            "cut": 1,
        },
        "shortcuts": {
            "header": probe,
            "border_after_crop": probe | {"facts": []},
            "source": probe
            | {"balanced_accuracy": {"value": 0.51, "low": 0.4, "high": 0.6}, "without_copies": None},
        },
        "label_check": {"done": True, "reason": "by predictions out of fold"},
        "suspect_labels": {
            "two: glioma/all": folder | {"source": "two", "flagged": False, "share": 0.2},
            "one: glioma/test": folder,
        },
        "oddities": {"near-blank": 1},
        "decisions": {"suspect_label": 2, "pair": 1},
        "verdict": {
            "protocol": "grouped",
            "level": "unsound",
            "sentences": ["A third of the test is known."],
        },
    }
    return AuditFacts.model_validate(content)
