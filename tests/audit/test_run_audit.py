"""A small set with known faults, audited whole."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError

from gliascope.audit import Audit
from gliascope.audit.decisions import Decisions
from gliascope.audit.facts import ClassLeak, Estimate
from gliascope.audit.run_audit import run_audit
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError
from gliascope.splits.split import split
from gliascope.synthetic import phantom

TRAIN, TEST = 8, 4


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Source `one`: of its 8 test slices, one is a training file, one mirrored; one label is contradicted.

    Source `two`, without a test folder, has one file of `one`.
    """
    root = tmp_path_factory.mktemp("faulty")
    seed = 0
    for source, parts in (("one", {"Training": TRAIN, "Testing": TEST}), ("two", {"": TRAIN})):
        for part, count in parts.items():
            for label, kind in (("glioma", "glioma"), ("no_tumor", "no_tumor")):
                folder = root / source / part / label
                folder.mkdir(parents=True)
                for number in range(count):
                    seed += 1
                    Image.fromarray(phantom(kind, seed, size=128).pixels).save(folder / f"{number}.png")
    one = root / "one"
    shutil.copy(one / "Training/glioma/0.png", one / "Testing/glioma/0.png")
    mirrored = ImageOps.mirror(Image.open(one / "Training/no_tumor/1.png"))
    mirrored.save(one / "Testing/no_tumor/1.png")
    shutil.copy(one / "Training/glioma/5.png", root / "two/glioma/5.png")
    shutil.copy(one / "Training/glioma/7.png", one / "Training/no_tumor/7.png")
    return scan([one, root / "two"])


@pytest.fixture(scope="module")
def found(catalog: Catalog) -> Audit:
    return run_audit(catalog, unchecked="no features were given")


def test_leaks_are_counted_by_source_and_class(found: Audit) -> None:
    one, two = found.facts.sources["one"], found.facts.sources["two"]
    assert (one.files, one.distinct_files, one.distinct_slices) == (24, 22, 22)
    assert one.identical_groups_across_splits == 1
    assert one.test_slices == 8
    assert one.test_slices_with_training_twin == 1
    assert one.test_slices_with_training_twin_any_transform == 2
    assert one.test_twins_by_class == {
        "glioma": ClassLeak(test_slices=4, twin=1, twin_any_transform=1),
        "no_tumor": ClassLeak(test_slices=4, twin=0, twin_any_transform=1),
    }
    assert one.mixed_label_groups == 1
    assert two.files == 16
    assert two.test_slices is two.test_slices_with_training_twin is None


def test_what_sources_share_is_counted_on_both_sides(found: Audit) -> None:
    (row,) = found.facts.between_sources
    assert (row.a, row.b) == ("one", "two")
    assert row.identical_files == row.twins == row.twins_any_transform == {"one": 1, "two": 1}


def test_the_verdict_names_the_leak_and_what_to_do(found: Audit) -> None:
    verdict = found.facts.verdict
    assert verdict.level == "unsound"
    assert verdict.protocol == "grouped"
    text = " ".join(verdict.sentences)
    assert "one: 2 of its 8 test slices (25%) have a copy in the training folder" in text
    assert "1 slices of one and 1 slices of two are copies of one another" in text
    assert "No label was checked" in text


def test_a_contradicted_label_is_proposed_for_dropping(found: Audit) -> None:
    conflicts = found.decisions.filter(pl.col("kind") == "conflict")
    assert sorted(conflicts.select("path", "label", "other_label", "action").rows()) == [
        ("one/Training/glioma/7.png", "glioma", "no_tumor", "drop"),
        ("one/Training/no_tumor/7.png", "no_tumor", "glioma", "drop"),
    ]


def test_an_audit_survives_its_files_and_splits_the_catalogue(
    found: Audit, catalog: Catalog, tmp_path: Path
) -> None:
    found.write(tmp_path)
    loaded = Audit.load(tmp_path)
    assert loaded.facts == found.facts
    assert loaded.pairs.equals(found.pairs)
    assert loaded.decisions.equals(found.decisions)
    decisions = Decisions.load(tmp_path / "decisions.csv")
    official, clean = split(
        catalog, ["official", "official-clean"], seed=0, audit=loaded, decisions=decisions
    )
    assert official.subset("test").height == 8
    assert clean.subset("test").height == 6
    assert "one/Training/glioma/7.png" not in official.frame["path"].to_list()


def test_what_a_person_decided_is_not_overwritten(found: Audit, tmp_path: Path) -> None:
    found.write(tmp_path)
    path = tmp_path / "decisions.csv"
    path.write_text(path.read_text().replace("drop", "keep"))
    edited = path.read_text()
    found.write(tmp_path)
    assert path.read_text() == edited
    assert "drop" in (tmp_path / "decisions.new.csv").read_text()
    assert Audit.load(tmp_path).facts == found.facts


def test_a_wrong_folder_is_flagged_with_embeddings_that_separate_the_classes() -> None:
    random = np.random.default_rng(0)
    rows = []
    for part in ("train", "test"):
        for label in ("glioma", "meningioma", "pituitary"):
            rows += [(part, label)] * 60
    truth = ["pituitary" if row == ("test", "glioma") else row[1] for row in rows]
    centres = {name: random.normal(size=20) * 2 for name in ("glioma", "meningioma", "pituitary")}
    embeddings = np.array([centres[name] + random.normal(size=20) for name in truth], dtype=np.float32)
    catalog = _catalog(rows)
    found = run_audit(catalog, embeddings=embeddings)
    flagged = [name for name, row in found.facts.label_issues.items() if row.flagged]
    assert flagged == ["s: glioma/test"]
    assert any(sentence.startswith("s: glioma/test") for sentence in found.facts.verdict.sentences)
    issues = found.decisions.filter((pl.col("kind") == "suspect_label") & (pl.col("label") == "glioma"))
    assert set(issues.filter(pl.col("action") == "drop")["new_label"]) == {"pituitary"}


def _catalog(rows: list[tuple[str, str]]) -> Catalog:
    """Slices of noise, whose sorted pixel hashes are in the order of `rows`."""
    random = np.random.default_rng(1)
    noise = [random.integers(0, 255, 4096, dtype=np.uint8).tobytes() for _ in rows]
    frame = pl.DataFrame(
        {
            "path": [f"s/{n}.png" for n in range(len(rows))],
            "official": [part for part, _ in rows],
            "label": [label for _, label in rows],
            "pixel_hash": [f"{n:032x}" for n in range(len(rows))],
            "sha256": [f"{n:064x}" for n in range(len(rows))],
        }
    ).with_columns(
        root=pl.lit("/nowhere"),
        index=pl.lit(0, pl.Int32),
        source=pl.lit("s"),
        format=pl.lit("png"),
        mode=pl.lit("L"),
        height=pl.lit(64, pl.Int32),
        width=pl.lit(64, pl.Int32),
        channels=pl.lit(1, pl.Int8),
        bytes=pl.lit(4096, pl.Int64),
        blank=pl.lit(False),
    )
    empty = ("patient", "patient_from", "study", "group", "modality", "exclusion_reason", "kind", "scale")
    numbers = ("quantisation", "spacing_row", "spacing_column")
    frame = frame.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in empty),
        *(pl.lit(None, pl.Float64).alias(name) for name in numbers),
        fold=pl.lit(None, pl.Int32),
    )
    thumbnails = frame.select("pixel_hash", thumbnail=pl.Series(noise), head_thumbnail=pl.Series(noise))
    return Catalog(frame, pl.DataFrame(), lambda: [thumbnails])


def test_an_audit_of_another_catalogue_is_refused(found: Audit) -> None:
    with pytest.raises(GliascopeError, match="of another catalogue"):
        split(_catalog([("train", "a"), ("test", "b")]), ["official"], audit=found)


def test_a_folder_that_is_no_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GliascopeError, match="make one with `gliascope audit`"):
        Audit.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slices": None}, r"slices: .*make it again with `gliascope audit`"),
        ({"anything": 1}, r"anything: .*make it again with `gliascope audit`"),
    ],
)
def test_an_audit_of_another_version_is_refused(
    found: Audit, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    found.write(tmp_path)
    file = tmp_path / "audit.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(GliascopeError, match=message):
        Audit.load(tmp_path)


def test_an_audit_from_before_quality_issues_says_to_make_it_again(found: Audit, tmp_path: Path) -> None:
    found.write(tmp_path)
    (tmp_path / "quality_issues.parquet").rename(tmp_path / "oddities.parquet")
    with pytest.raises(GliascopeError, match="make it with `gliascope audit`"):
        Audit.load(tmp_path)


def test_keys_that_other_programs_read_stay(found: Audit) -> None:
    written = json.loads(found.facts.to_json())
    assert list(written) == [
        *("title", "notice", "created", "gliascope", "slices", "distinct_slices", "settings", "sources"),
        *("between_sources", "copies", "groups", "patients", "shortcuts", "label_check", "suspect_labels"),
        *("oddities", "decisions", "verdict"),
    ]
    assert set(written["sources"]["one"]) == {
        *("files", "slices", "distinct_files", "distinct_slices", "classes", "mixed_label_groups"),
        *("identical_groups_across_splits", "test_slices", "test_slices_with_training_twin"),
        *("test_slices_with_training_twin_any_transform", "test_twins_by_class"),
    }
    assert written["shortcuts"]["header"]["facts"][0].keys() == {"name", "balanced_accuracy"}


def test_what_is_no_number_is_never_written() -> None:
    with pytest.raises(ValidationError):
        Estimate(value=float("nan"), low=None, high=None)
