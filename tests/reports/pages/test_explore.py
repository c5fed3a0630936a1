from pathlib import Path

import numpy as np
import pytest
from html_page import check_page
from PIL import Image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.reports.pages.explore import render_explore

HOSTILE = "<b>two & co"


@pytest.fixture
def catalog(make_source) -> Catalog:
    first = make_source({"Training/glioma": 40, "Training/notumor": 5, "Testing/glioma": 3}, "one")
    second = make_source({"no": 2}, HOSTILE, seed=1)
    Image.new("L", (30, 90), 255).save(second / "no" / "tall.png")
    return scan([first, second])


def test_the_page_counts_what_the_catalogue_holds(catalog):
    page = check_page(render_explore(catalog))
    for words in (
        "51 slices of 2 classes from 2 sources.",
        "one, train 40 5 45",
        f"{HOSTILE} 0 3 3",
        "all 43 8 51",
        "1 size, 100.0 % are 48×48",
        "2 sizes, 87.5 % are 48×48",
    ):
        assert words in page.text, words
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 2 * 2


def test_the_page_counts_unreadable_files(make_source):
    source = make_source({"glioma": 2, "no": 2})
    (source / "no" / "broken.png").write_bytes(b"no image")
    page = check_page(render_explore(scan([source])))
    assert "Files that could not be used: 1" in page.text


def test_slices_are_drawn_by_seed(catalog):
    def drawn(seed):
        page = check_page(render_explore(catalog, seed))
        return [
            attributes["title"] for tag, attributes in page.tags if tag == "img" and "title" in attributes
        ]

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(drawn(0)) == len(set(drawn(0))) == 24 + 8


def test_the_mean_image_is_the_mean(make_source, monkeypatch):
    source = make_source({"glioma": 1, "notumor": 1})
    for label, grey in (("glioma", (10, 30)), ("notumor", (200, 100))):
        for number, value in enumerate(grey):
            Image.new("L", (64, 64), value).save(source / label / f"{number:03d}.png")
    seen = {}
    monkeypatch.setattr(
        "gliascope.reports.pages.explore.render", lambda _, **context: seen.update(context) or ""
    )
    render_explore(scan([source]))
    means = [look.mean for look in seen["appearances"]]
    assert [np.unique(mean).tolist() for mean in means] == [[20.0], [150.0]]
    assert seen["appearances"][0].histogram[[10, 30]].tolist() == [0.5, 0.5]


def test_the_command_writes_the_page(catalog, tmp_path):
    catalog.write(tmp_path / "catalog.parquet")
    out = tmp_path / "new" / "page.html"
    result = CliRunner().invoke(app, ["explore", str(tmp_path / "catalog.parquet"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "51" in out.read_text(encoding="utf-8")
    assert not Path("explore.html").exists()
