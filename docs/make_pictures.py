"""`make pictures`: the README's pictures, from what `make demo` made."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from urllib.error import URLError
from urllib.request import urlopen

import nibabel
from PIL import Image, ImageOps
from playwright.sync_api import Page, sync_playwright

from gliascope.inference.bundle import Bundle
from gliascope.inference.predict_files import predict_files
from gliascope.synthetic import LABELS, phantom, phantom_volume

DEMO, PICTURES = Path("demo"), Path("docs/pictures")
SIZE, GAP = 240, 24
SEED = 900_001  # of the patient whose volume the page shows


def report(chromium: str) -> None:
    """The top of the report, as a browser shows it."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
            *("--disable-background-networking", f"--user-data-dir={profile}", "--window-size=1280,1500"),
            f"--screenshot={PICTURES / 'report.png'}",
            (DEMO / "report.html").resolve().as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True)
    image = Image.open(PICTURES / "report.png").convert("RGB")
    image.resize((960, 1125), Image.Resampling.LANCZOS).quantize(128).save(PICTURES / "report.png")


def overlays() -> None:
    """A slice of each class with a tumour, above what the model looked at."""
    bundle = Bundle.load(DEMO / "bundle")
    labels = [label for label in bundle.info.classes if label != "no_tumor"]
    sheet = Image.new("RGB", (SIZE * len(labels), 2 * SIZE))
    for column, label in enumerate(labels):
        file = sorted((DEMO / "phantoms" / "synthetic" / "Testing" / label).iterdir())[4]
        with tempfile.TemporaryDirectory() as folder:
            predict_files(bundle, [file], None, Path(folder))
            images = (Image.open(file), Image.open(next(Path(folder).iterdir())))
            for row, image in enumerate(images):
                sheet.paste(image.convert("RGB").resize((SIZE, SIZE)), (SIZE * column, SIZE * row))
    sheet.quantize(128).save(PICTURES / "overlay.png")


def leakage() -> None:
    """Pairs of a synthetic slice and a copy of it, as the public sets hold them."""
    copies = (
        ImageOps.mirror,
        lambda image: image.rotate(180),
        lambda image: ImageOps.crop(image, border=round(0.05 * image.width)),
        lambda image: image.resize((64, 64)),
    )
    sheet = Image.new("RGB", (2 * SIZE * len(copies) + GAP * (len(copies) - 1), SIZE), "white")
    for number, (label, copy) in enumerate(zip(LABELS, copies, strict=True)):
        image = Image.fromarray(phantom(label, seed=number + 3).pixels)
        left = number * (2 * SIZE + GAP)
        for place, picture in ((left, image), (left + SIZE, copy(image))):
            sheet.paste(picture.resize((SIZE, SIZE)), (place, 0))
    sheet.quantize(128).save(PICTURES / "leakage.png")


def page(chromium: str) -> None:
    """What `gliascope serve` shows of a synthetic volume: wide and light, and dark on a phone."""
    shapes = {
        "page-wide": ({"viewport": {"width": 1440, "height": 1000}, "color_scheme": "light"}, 1440),
        "page-phone": ({"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}, 585),
    }
    with _serving() as address, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        volume, _, affine = phantom_volume("glioma", seed=SEED)
        file = Path(folder) / "phantom.nii.gz"
        nibabel.save(nibabel.Nifti1Image(volume, affine), file)
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=which(chromium), args=flags)
        for name, (shape, width) in shapes.items():
            shown = browser.new_page(**shape, device_scale_factor=2, reduced_motion="reduce")
            shown.goto(address)
            _read(shown, file)
            path = PICTURES / f"{name}.png"
            shown.screenshot(path=path)
            image = Image.open(path).convert("RGB")
            size = (width, round(image.height * width / image.width))
            image.resize(size, Image.Resampling.LANCZOS).quantize(256).save(path, optimize=True)


def _read(shown: Page, file: Path) -> None:
    """Read a file, and go to the slice that looks most like a glioma, with its saliency."""
    shown.wait_for_selector("body[data-ready]")
    shown.set_input_files("#files", str(file))
    shown.wait_for_selector("#results:not([hidden])")
    shown.check("#saliency")
    labels = [row.get_attribute("aria-label") or "" for row in shown.locator("#list [role=option]").all()]
    shares = [float((re.search(r": glioma ([\d.]+)", label) or [0, 0])[1]) for label in labels]
    shown.locator("#slice").fill(str(shares.index(max(shares))))
    shown.locator("#slices-title").evaluate("title => title.scrollIntoView()")
    shown.wait_for_selector("#canvases canvas:not([aria-busy])[aria-label]")
    shown.wait_for_load_state("networkidle")


@contextmanager
def _serving() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gliascope", "serve", str(DEMO / "bundle"), "--port", str(port)]
    server = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}/"
    try:
        while server.poll() is None:
            try:
                urlopen(f"{address}readyz").close()
                break
            except URLError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    report(sys.argv[1])
    overlays()
    leakage()
    page(sys.argv[1])
