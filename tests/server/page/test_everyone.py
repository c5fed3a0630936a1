"""Accessibility: keyboard, screen readers, other screens; and the notice that is always shown."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import gliascope.server
from gliascope import RESEARCH_USE

STATIC = Path(gliascope.server.__file__).parent / "static"
SHAPES = {
    "wide, light": {"viewport": {"width": 2560, "height": 1300}, "color_scheme": "light"},
    "laptop, dark": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "dark"},
    "phone, light": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "has_touch": True},
    "phone, dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "has_touch": True},
}


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=pytest.mark.slow if "dark" in shape else ()) for shape in SHAPES]
)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(opened, server, files, shape):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = opened(server, reduced_motion="reduce", **SHAPES[shape])
    page.wait_for_selector("body[data-ready]")
    _check(page, axe)
    names = ("sure.png", "unsure.png", "white.png", "notes.txt", "volume.nii.gz")
    page.select_option("#model", label="compare all models" if "wide" in shape else "quadrants")
    page.set_input_files("#files", [str(files / name) for name in names])
    page.wait_for_selector("#results:not([hidden])")
    page.click("#models summary >> nth=0")
    _check(page, axe)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    notice = page.locator(".notice")
    assert notice.bounding_box()["y"] == 0
    assert notice.inner_text() == RESEARCH_USE


def _check(page, axe) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    found = axe.run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []


def test_the_keyboard_alone_is_enough(page, files):
    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == name:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"focus is not seen on {name}"
                return
        raise AssertionError(f"{name} cannot be reached")

    # Early, for it takes the browser a while to leave the dialog to us.
    page.on("filechooser", lambda _: None)
    tab_to("choose-files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([str(files / name) for name in ("volume.nii.gz", "sure.png", "white.png")])
    page.wait_for_selector("#results:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "results-title"
    assert re.match(r"Done\. quadrants: 8\s+slices, ", page.inner_text("#announcer"))
    tab_to("canvases")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#announcer")).to_contain_text("slice 1")
    tab_to("slice")
    page.keyboard.press("End")
    assert page.inner_text("#slice-text") == "8 of 8"
    tab_to("width")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#width-text") == "255"
    tab_to("saliency")
    page.keyboard.press("Space")
    assert page.is_checked("#saliency")
    tab_to("list")
    page.keyboard.press("Home")
    assert page.inner_text("#slice-text") == "1 of 8"
    page.evaluate("document.activeElement.blur()")
    tab_to("save-csv")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_the_page_stays_within_a_strict_policy_and_calls_nothing_a_diagnosis():
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert html.count(RESEARCH_USE) == 2
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", html)
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
        assert len(re.findall("diagnos", text, re.IGNORECASE)) == len(
            re.findall("never a diagnosis", text)
        ), file.name
        if file.suffix == ".js":
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), (
                file.name
            )
            assert len(text.splitlines()) < 250, file.name


def test_without_javascript_the_page_says_what_else_there_is(opened, server):
    page = opened(server, java_script_enabled=False)
    assert "gliascope predict" in page.inner_text("noscript")
