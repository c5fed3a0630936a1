"""`make pictures`: the README's pictures, from what `make demo` made."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from gliascope.data.phantom import LABELS, phantom
from gliascope.inference.bundle import Bundle
from gliascope.inference.job import predict_job

DEMO, PICTURES = Path("demo"), Path("docs/pictures")
SIZE, GAP = 240, 24


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
            predict_job(bundle, [file], None, Path(folder))
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


if __name__ == "__main__":
    report(sys.argv[1])
    overlays()
    leakage()
