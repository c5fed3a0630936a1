"""Window, level and saliency change what is on the canvas, and nothing else does."""

import numpy as np
import pytest
from PIL import Image

PIXELS = """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]"""


def pixels(page) -> np.ndarray:
    page.wait_for_selector("#canvases canvas:not([aria-busy])[aria-label]")
    canvas = page.locator("#canvases canvas")
    size = canvas.evaluate("canvas => [canvas.height, canvas.width]")
    return np.array(canvas.evaluate(PIXELS)).reshape(*size, 4)


@pytest.fixture
def viewer(page, files):
    page.set_input_files("#files", str(files / "sure.png"))
    page.wait_for_selector("#results:not([hidden])")
    return page


@pytest.fixture
def original(files) -> np.ndarray:
    return np.asarray(Image.open(files / "sure.png")).astype(int)


def test_at_first_the_picture_is_as_it_was_read(viewer, original):
    shown = pixels(viewer)
    assert shown.shape == (48, 48, 4)
    for channel in range(3):
        assert (shown[:, :, channel] == original).all()
    assert viewer.is_hidden("#slice-row")


def test_window_and_level_follow_dicoms_formula(viewer, original):
    viewer.locator("#width").fill("51")
    viewer.locator("#level").fill("60")
    expected = np.clip(255 * ((original - 59.5) / 50 + 0.5), 0, 255)
    assert np.abs(pixels(viewer)[:, :, 0] - expected).max() <= 0.5
    viewer.click("#reset")
    assert (pixels(viewer)[:, :, 0] == original).all()


def test_dragging_changes_width_and_level_and_r_resets(viewer, original):
    box = viewer.locator("#canvases canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.mouse.move(x, y)
    viewer.mouse.down()
    viewer.mouse.move(x - 100, y - 60)
    viewer.mouse.up()
    assert (viewer.inner_text("#width-text"), viewer.inner_text("#level-text")) == ("206", "98")
    viewer.mouse.move(x, y)
    assert (pixels(viewer)[:, :, 0] != original).any()
    viewer.focus("#canvases")
    viewer.keyboard.press("r")
    assert (pixels(viewer)[:, :, 0] == original).all()


def test_a_finger_drags_too(opened, server, files):
    page = opened(server, has_touch=True, viewport={"width": 390, "height": 844})
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#files", str(files / "sure.png"))
    page.wait_for_selector("#results:not([hidden])")
    page.locator("#canvases canvas").scroll_into_view_if_needed()
    box = page.locator("#canvases canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, points in (("Start", [(x, y)]), ("Move", [(x - 40, y)]), ("Move", [(x - 80, y)]), ("End", [])):
        touches = [{"x": left, "y": top} for left, top in points]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
    assert page.inner_text("#width-text") == "216"


def test_saliency_colours_the_place_and_its_strength_follows_the_slider(viewer, original):
    assert not viewer.is_checked("#saliency")
    viewer.check("#saliency")
    shown = pixels(viewer)
    coloured = shown[:, :, 0] - shown[:, :, 2]
    assert coloured[:24, :24].max() > 50  # the quarter that the class is of
    assert coloured[36:, 36:].max() == 0
    viewer.locator("#opacity").fill("20")
    assert (pixels(viewer)[:, :, 0] - pixels(viewer)[:, :, 2]).max() < coloured.max()
    viewer.focus("#canvases")
    viewer.keyboard.press("s")
    assert (pixels(viewer)[:, :, 0] == original).all()


def test_each_picture_is_fetched_once_and_none_before_it_is_near(page, files):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/slices/" in request.url else None)
    page.set_input_files("#files", str(files / "volume.nii.gz"))
    page.wait_for_selector("#results:not([hidden])")
    pixels(page)
    page.wait_for_timeout(200)
    assert sorted(url.rpartition("slices/")[2] for url in asked) == ["0/image", "1/image"]
    page.focus("#canvases")
    for key in ("ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        pixels(page)
    page.wait_for_timeout(200)
    assert sorted(url.rpartition("slices/")[2] for url in asked) == ["0/image", "1/image", "2/image"]
