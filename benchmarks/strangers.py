"""Pictures that are no slices like those a model learned from, uint8 (height, width[, 3]), by kind.

`chosen_on` chooses an outlier score, `judged_on` is what it is judged by; they share no picture.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from gliascope.errors import ReadError
from gliascope.io import read
from gliascope.preprocessing.preprocess import to_grey
from gliascope.synthetic import write_phantoms

Picture = NDArray[np.uint8]
Kinds = dict[str, list[Picture]]
SIDE = 240
TEXTURES = (
    "brick.png", "grass.png", "gravel.png", "cell.png", "ihc.png", "retina.jpg", "clock_motion.png",
    "microaneurysms.png", "color.png", "logo.png", "horse.png", "chessboard_GRAY.png",
)  # fmt: skip
PHOTOS = (
    "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png", "motorcycle_left.png",
    "motorcycle_right.png", "hubble_deep_field.jpg", "coins.png", "moon.png",
)  # fmt: skip
WORDS = ("study", "with", "findings", "no", "acute", "mass", "is", "seen", "ventricles", "are", "normal")


def chosen_on(slices: list[Picture]) -> Kinds:
    """Textures, drawings, digits, plots and pictures of surfaces and cells; and `slices`, changed."""
    random = np.random.default_rng(0)
    return {
        "fractal noise": [_fractal(random) for _ in range(60)],
        "drawn shapes": [_shapes(random) for _ in range(60)],
        "digits": _digits(60),
        "plots": [_plot(random) for _ in range(20)],
        "surfaces and cells": _crops(_skimage(TEXTURES)),
        "slices, turned by 90°": [np.rot90(to_grey(pixels)).copy() for pixels in slices],
        "slices, inverted": [255 - to_grey(pixels) for pixels in slices],
        "slices, tiles shuffled": [_shuffled(pixels, random) for pixels in slices],
        "slices, middle quarter": [_middle(to_grey(pixels)) for pixels in slices],
        "slices, of 14 × 14 pixels": [_resized(_resized(to_grey(pixels), 14), SIDE, 0) for pixels in slices],
    }


def judged_on(slices: list[Picture], data: Path, work: Path) -> Kinds:
    """What the issue names. `data` holds ct/; phantoms go into `work`."""
    random = np.random.default_rng(1)
    photos = Path(sklearn.__file__).parent / "datasets" / "images"
    if not (work / "phantoms").exists():
        write_phantoms(work / "phantoms", 20)
    return {
        "natural photos": _crops([*sorted(photos.glob("*.jpg")), *_skimage(PHOTOS)]),
        "noise": [_noise(random, number) for number in range(60)],
        "blank": _blank(random),
        "text pages": [*_whole(_skimage(("page.png", "text.png"))),
                       *(_page(random, number) for number in range(40))],
        "CT": [pixels for file in _files(data / "ct") for pixels in readable(file)],
        "slices, upside-down": [to_grey(pixels)[::-1].copy() for pixels in slices],
        "slices, blurred by 4 of 240 pixels": [_blurred(pixels, 4) for pixels in slices],
        "slices, blurred by 8 of 240 pixels": [_blurred(pixels, 8) for pixels in slices],
        "phantoms": [pixels for file in _files(work / "phantoms") for pixels in readable(file)],
    }  # fmt: skip


def package_files() -> dict[str, list[Picture]]:
    """Slices by file: those of pydicom's and nibabel's test files that can be read."""
    import nibabel
    import pydicom

    roots = {
        "pydicom": Path(pydicom.__file__).parent / "data" / "test_files",
        "nibabel": Path(nibabel.__file__).parent / "tests" / "data",
    }
    found = {
        f"{name}/{file.relative_to(root)}": readable(file)
        for name, root in roots.items()
        for file in _files(root)
    }
    return {name: slices for name, slices in found.items() if slices}


def readable(file: Path) -> list[Picture]:
    """Its slices; none where it cannot be read."""
    try:
        return [item.pixels for item in read(file)]
    except ReadError:
        return []


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _whole(files: Iterable[Path]) -> list[Picture]:
    images = [Image.open(file) for file in files]
    return [np.asarray(image if image.mode == "L" else image.convert("RGB")) for image in images]


def _skimage(names: Iterable[str]) -> list[Path]:
    """Pictures that scikit-image brings; imported here, for no other part needs it."""
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in names]


def _crops(files: Iterable[Path]) -> list[Picture]:
    """Each picture and its quarters."""
    found = []
    for pixels in _whole(files):
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        quarters = [pixels[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
        found += [pixels, *map(np.ascontiguousarray, quarters)]
    return found


def _fractal(random: np.random.Generator) -> Picture:
    """Noise whose power falls with a power of the frequency, as that of natural scenes does."""
    y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    frequency = np.hypot(y, x)
    frequency[0, 0] = 1
    waves = np.fft.fft2(random.normal(size=(SIDE, SIDE))) / frequency ** random.uniform(0.5, 2.5)
    values = np.fft.ifft2(waves).real
    return (128 + 50 * (values - values.mean()) / values.std()).clip(0, 255).astype(np.uint8)


def _shapes(random: np.random.Generator) -> Picture:
    image = Image.new("L", (SIDE, SIDE), int(random.integers(256)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(2, 25))):
        (x, y), (width, height) = random.integers(0, SIDE, 2).tolist(), random.integers(8, 120, 2).tolist()
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape([x, y, x + width, y + height], fill=int(random.integers(256)))
    return np.asarray(image)


def _digits(count: int) -> list[Picture]:
    from sklearn.datasets import load_digits

    return [_resized((15.9 * image).astype(np.uint8), SIDE) for image in load_digits().images[:count]]


def _plot(random: np.random.Generator) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), dpi=60)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw: Callable[..., object] = (axes.plot, axes.scatter, axes.bar)[int(random.integers(3))]
    draw(np.arange(30), np.abs(random.normal(size=30)).cumsum())
    canvas.draw()
    return to_grey(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())


def _shuffled(pixels: Picture, random: np.random.Generator, tiles: int = 4) -> Picture:
    side = SIDE // tiles
    parts = (
        _resized(to_grey(pixels), SIDE)
        .reshape(tiles, side, tiles, side)
        .swapaxes(1, 2)
        .reshape(-1, side, side)
    )
    parts = parts[random.permutation(len(parts))].reshape(tiles, tiles, side, side)
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(SIDE, SIDE))


def _middle(pixels: Picture) -> Picture:
    height, width = pixels.shape
    return pixels[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8].copy()


def _noise(random: np.random.Generator, number: int) -> Picture:
    if number % 5 == 0:
        return random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    if number % 5 == 1:
        return ((random.random((SIDE, SIDE)) < 0.5) * 255).astype(np.uint8)
    spread, level = (15, 30, 60, 90)[number % 4], (64, 128, 192)[number % 3]
    return random.normal(level, spread, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)


def _blank(random: np.random.Generator) -> list[Picture]:
    """Every grey, some with a little noise, and ramps."""
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    even = [np.full((SIDE, SIDE), level, dtype=np.uint8) for level in range(0, 256, 15)]
    rough = [(one + random.normal(0, 3, one.shape)).clip(0, 255).astype(np.uint8) for one in even[::2]]
    return [*even, *rough, ramp, ramp.T.copy()]


def _page(random: np.random.Generator, number: int) -> Picture:
    """Lines of words, dark on light or light on dark."""
    font = Path(matplotlib.__file__).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    paper, ink = (20, 240) if number % 3 == 0 else (255, 0)
    size = int(random.integers(12, 34))
    image = Image.new("L", (600, (600, 800)[number % 2]), paper)
    draw = ImageDraw.Draw(image)
    for top in range(20, image.height - 40, round(1.5 * size)):
        words = random.choice(WORDS, size=max(2, 180 // size))
        draw.text((25, top), " ".join(words), fill=ink, font=ImageFont.truetype(str(font), size))
    return np.asarray(image)


def _blurred(pixels: Picture, radius: float) -> Picture:
    image = Image.fromarray(_resized(to_grey(pixels), SIDE))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))


def _resized(pixels: Picture, side: int, resample: int = Image.Resampling.BICUBIC) -> Picture:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling(resample)))
