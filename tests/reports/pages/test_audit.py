import io
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from html_page import Page, check_page
from PIL import Image

from gliascope.audit.facts import AuditVerdict, GroupCounts, LabelCheck, SourceFacts
from gliascope.audit.result import PAIRS_SCHEMA, QUALITY_ISSUES_SCHEMA, Audit
from gliascope.reports.pages.audit import render_audit
from gliascope.reports.pages.galleries import Galleries, Pair
from gliascope.reports.pages.pictures import Picture

TRAIN, TEST, OTHER = "one/Training/glioma/000.png", "one/Testing/glioma/mirror.png", "two/no/000.png"


def clean(audit: Audit) -> Audit:
    """An audit that found nothing, of one source without a test folder."""
    empty = {
        "between_sources": (),
        "shortcuts": {},
        "quality_issues": {},
        "decisions": {},
        "label_issues": {},
    }
    facts = audit.facts.model_copy(
        update=empty
        | {
            "sources": {"two": audit.facts.sources["two"]},
            "label_check": LabelCheck(done=False, reason="no weights at hand"),
            "groups": GroupCounts(count=7, mixed_labels=0, largest=(), cut=0),
            "verdict": AuditVerdict(protocol="grouped", level="sound", sentences=()),
        }
    )
    return Audit(
        facts,
        audit.groups,
        audit.pairs.clear(),
        audit.quality_issues.clear(),
        audit.decisions.clear(),
    )


def test_the_page_says_it_in_plain_words(audit, catalog):
    page = check_page(render_audit(audit, catalog))
    for words in (
        "What a model scores on this data cannot be believed as it stands.",
        "A third of the test is known.",
        "Protocol to use: grouped . 70/15/15 over all sources",
        "Copies between training and test 2 of 6 test slices",
        "one 6 1 16.7 % 2 33.3 % 1",
        "Copies between sources 3 slices with a copy in another source",
        "Conflicting labels 1 group of copies with more than one label",
        "Label issues 2 distinct slices whose label may be wrong",
        "one: glioma/test look at this folder 3 1 33.3 % 25.0 %",
        "Shortcuts 2 of 3 classifiers predict the label without anatomy",
        "Border after crop glioma or no_tumor 91.3 % 80.0–97.0 95.0 % with copies 50.0 %",
        "Source glioma or no_tumor 51.0 % 40.0–60.0 50.0 % bytes per pixel alone 90.0 %",
        "Groups 22 groups",
        "1 link between look-alikes was cut",
        "Near-blank: 1",
        "without identical copies 12 11 23",
        "by predictions out of fold",
        "2 about label issues, 1 about doubtful pairs.",
        "gliascope split catalog.parquet --audit . --decisions decisions.csv --protocol grouped",
        "The same numbers are in audit.json.",
    ):
        assert words in page.text, words
    assert page.text.index("one: glioma/test look") < page.text.index("two: glioma/all")


def test_copies_are_shown_side_by_side_the_worst_first(audit, catalog):
    galleries = Galleries(audit, catalog)
    (leak,) = galleries.pairs(galleries.leaks())
    assert (leak.first.name, leak.second.name, leak.correlation) == (TEST, TRAIN, 0.999)
    assert (leak.first.subset, leak.second.subset, leak.description) == ("test", "train", "mirrored")
    (shared,) = galleries.pairs(galleries.between_sources())
    assert (shared.first.name, shared.second.name, shared.description) == (TRAIN, OTHER, "as it is")
    (conflict,) = galleries.pairs(galleries.conflicts())
    assert (conflict.first.label, conflict.second.label) == ("glioma", "no_tumor")
    assert [
        (name, number, [x.caption for x in shown])
        for name, number, shown in galleries.label_issues(["one: glioma/test"])
    ] == [
        ("one: glioma/test", 1, ["probably no_tumor"]),
        ("Other folders", 1, ["probably no_tumor"]),
    ]
    assert [(pair.first.name, pair.second.name) for pair in galleries.doubtful_pairs()] == [(TRAIN, OTHER)]


def test_identical_copies_are_shown_where_there_are_no_others(audit, catalog):
    galleries = Galleries(replace(audit, pairs=audit.pairs.clear()), catalog)
    (leak,) = galleries.pairs(galleries.leaks())
    assert (leak.first.name, leak.description) == ("one/Testing/notumor/same.png", "the same pixels")
    assert galleries.between_sources().is_empty()
    assert galleries.count_shared_slices() == 0


def test_every_kind_of_copy_gets_its_turn(audit, catalog):
    paths = catalog.frame.filter(source="one").unique("pixel_hash", maintain_order=True)
    test, train = (
        paths.filter(pl.col("official") == part)["pixel_hash"].to_list() for part in ("test", "train")
    )
    found = list(zip(test, train, ("none", "none", "none", "turn 90"), strict=False))
    pairs = [(*sorted((a, b)), 0.999 - 0.001 * n, kind, False) for n, (a, b, kind) in enumerate(found)]
    groups = {name: number for number, (a, b, _) in enumerate(found) for name in (a, b)}
    own = audit.groups.with_columns(
        group=pl.col("pixel_hash").replace_strict(groups, default=None).fill_null(pl.col("group") + 99)
    )
    changed = replace(audit, groups=own, pairs=pl.DataFrame(pairs, PAIRS_SCHEMA, orient="row"))
    galleries = Galleries(changed, catalog)
    shown = galleries.pairs(galleries.leaks(), limit=2)
    assert [pair.description for pair in shown] == ["as it is", "turned by 90°"]


def test_hostile_names_stay_text(audit, catalog):
    name = next(path for path in catalog.frame["path"] if "script" in path)
    odd = pl.DataFrame([(name, 0, "<i>odd", "<u>very")], QUALITY_ISSUES_SCHEMA, orient="row")
    facts = audit.facts.model_copy(update={"quality_issues": {"<i>odd": 1}})
    changed = replace(audit, quality_issues=odd, facts=facts)
    page = check_page(render_audit(changed, catalog))
    for text in ("<i>odd: 1", "<u>very", name.rpartition("/")[2]):
        assert text in page.text


def test_empty_sections_say_so(audit, catalog):
    two = replace(
        catalog,
        frame=catalog.frame.filter(pl.col("source") == "two", ~pl.col("path").str.contains("script")),
    )
    page = check_page(render_audit(clean(audit), two))
    for words in (
        "can be believed , as far as this audit can see.",
        "No source has a test folder of its own",
        "There is one source only",
        "All copies of a picture carry the same label.",
        "Labels were not checked: no weights at hand.",
        "Not checked: there was nothing to compare.",
        "No slice is nearly blank",
        "gliascope split catalog.parquet --audit . --protocol grouped",
    ):
        assert words in page.text, words
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_no_leak_is_told_from_no_test(audit, catalog):
    sources = audit.facts.sources
    none = {key: 0 for key in SourceFacts.model_fields if key.startswith("test_slices_")}
    found = audit.facts.model_copy(
        update={"sources": sources | {"one": sources["one"].model_copy(update=none)}}
    )
    text = Page(render_audit(replace(audit, facts=found), catalog)).text
    assert "None. No test slice has a copy among the training slices of its source." in text


def test_a_picture_is_the_file_or_else_its_thumbnail(audit, catalog):
    first = Galleries(audit, catalog).album[0]
    row = catalog.frame.row(0, named=True)
    file = Path(row["root"]) / row["path"]
    shown = np.asarray(Image.open(io.BytesIO(first.image)).convert("L"), dtype=float)
    assert np.abs(shown - np.asarray(Image.open(file), dtype=float)).mean() < 6
    file.unlink()
    again = Image.open(io.BytesIO(Galleries(audit, catalog).album[0].image))
    assert again.size == (160, 160)
    assert np.corrcoef(np.asarray(again.resize((48, 48)), float).ravel(), shown.ravel())[0, 1] > 0.9


def test_pictures_are_small(audit, catalog, tmp_path):
    html = render_audit(audit, catalog)
    for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html):
        assert max(Image.open(io.BytesIO(b64decode(data))).size) <= 160
    assert len(html) < 300_000


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("none", "as it is"),
        ("flip, turn 90", "mirrored, turned by 90°"),
        ("crop", "cropped"),
        ("something new", "something new"),
    ],
)
def test_transforms_are_words(transform, words):
    picture = Picture(b"", "", "", "", None)
    assert Pair(picture, picture, 1.0, transform).description == words
