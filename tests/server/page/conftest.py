"""A real server, and Debian's Chromium to open its page with."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import uvicorn
from PIL import Image
from quadrants import quadrant_bundle
from tiny import slice_image

from gliascope.server.app import create_app
from gliascope.server.keys import KeyRing
from gliascope.server.models import ModelSource
from gliascope.server.settings import Settings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which(os.environ.get("CHROMIUM") or "chromium")
FLAGS = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses root
CARD = "# Model card: quadrants\n\nIt **means** nothing.\n\n| class | slices |\n| --- | --- |\n| glioma | 1 |\n\n- `one`\n- <b>two</b>\n"
SECONDS = 30  # for anything that a busy machine may be slow at


# Not of the session: while it lasts, an event loop runs here, and other tests could start none.
@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; CHROMIUM names it where it lies elsewhere")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSource]:
    folder = tmp_path_factory.mktemp("bundles")
    quadrant_bundle().write(folder / "quadrants", CARD)
    quadrant_bundle(turned=True).write(folder / "turned")
    quadrant_bundle(plain=True).write(folder / "plain")
    return [
        ModelSource(path.name, path) for path in (folder / "quadrants", folder / "turned", folder / "plain")
    ]


@pytest.fixture(scope="session")
def server(bundles: list[ModelSource]) -> Iterator[str]:
    """Address of a server without keys, with three models."""
    with_settings = Settings(host="127.0.0.1", rate="100000/minute", workers=1)
    yield from _serve(with_settings, bundles)


@pytest.fixture(scope="session")
def locked(bundles: list[ModelSource], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a server with one model that wants a key, and the key."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    ring, key = KeyRing().add("reader", ("predict",))
    ring.save(file)
    for address in _serve(Settings(host="127.0.0.1", keys=file, workers=1), bundles[:1]):
        yield address, key


def _serve(settings: Settings, bundles: list[ModelSource]) -> Iterator[str]:
    listening = socket.create_server((settings.host, 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, bundles), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    end = time.monotonic() + SECONDS
    while not server.started and time.monotonic() < end:
        time.sleep(0.05)
    assert server.started, "the server does not start"
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join(SECONDS)


class Watched:
    """Records what the page must not do: console errors, policy violations, requests to other servers."""

    def __init__(self, context, address: str) -> None:
        self.problems: list[str] = []
        self.expected = ""  # of console messages, while a test makes trouble on purpose
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))
        context.on("request", lambda request: self._request(request.url, address))

    def _console(self, message) -> None:
        if message.type in ("error", "warning") and not (self.expected and self.expected in message.text):
            self.problems.append(f"{message.type}: {message.text}")

    def _request(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:" + address)):
            self.problems.append(f"asked {url}")


@pytest.fixture
def opened(browser):
    """Open a page of a server: `opened(address, **how)`; it is watched to its end."""
    contexts = []

    def open_page(address: str, **how):
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how))
        context.set_default_timeout(1000 * SECONDS)
        page = context.new_page()
        page.watched = Watched(context, address)
        contexts.append((context, page.watched))
        page.goto(address)
        return page

    yield open_page
    for context, watched in contexts:
        context.close()
        assert watched.problems == []


@pytest.fixture
def page(opened, server: str):
    """The page of the server without keys, once it knows the models."""
    page = opened(server)
    page.wait_for_selector("body[data-ready]")
    return page


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sure.png (glioma), unsure.png (two discs), white.png, notes.txt, and volume.nii.gz of six slices."""
    folder = tmp_path_factory.mktemp("files")
    first, second = (np.asarray(slice_image(label, 0)) for label in (0, 3))
    Image.fromarray(first).save(folder / "sure.png")
    Image.fromarray(np.maximum(first, second)).save(folder / "unsure.png")
    Image.new("L", (48, 48), 255).save(folder / "white.png")
    (folder / "notes.txt").write_text("not a slice")
    slices = np.stack([np.asarray(slice_image(number % 4, number)) for number in range(6)], axis=2)
    nibabel.save(nibabel.Nifti1Image(slices, np.eye(4)), folder / "volume.nii.gz")
    return folder
