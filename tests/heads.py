"""Heads with a known place, and what the public sets do to slices."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def drawn_head(
    height: int = 240, width: int = 200, box: tuple[int, int, int, int] = (40, 200, 50, 160)
) -> np.ndarray:
    """A noisy brain in a black skull in a bright scalp that fills `box` (top, bottom, left, right), on black."""
    top, bottom, left, right = box
    y, x = np.mgrid[:height, :width] + 0.5
    down = (y - (top + bottom) / 2) / ((bottom - top) / 2)
    across = (x - (left + right) / 2) / ((right - left) / 2)
    radius = np.hypot(down, across)
    noise = np.random.default_rng(0).normal(0, 8, (height, width))
    brain = 90 + 25 * np.sin(4 * down) * np.cos(6 * across + 1) + noise
    values = np.where(radius < 0.78, brain, np.where((radius > 0.9) & (radius < 1), 170, np.abs(noise) / 4))
    return values.clip(0, 255).astype(np.uint8)


def bordered(pixels: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return np.pad(pixels, ((top, bottom), (left, right)))


def framed(pixels: np.ndarray, thickness: int) -> np.ndarray:
    return np.pad(pixels, thickness, constant_values=250)


def with_text(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(image.height // 22)
    draw.text((2, 2), "SE: 4\nIM: 12", fill=230, font=font)
    draw.text((image.width - 3, image.height - 2), "R 5 cm", fill=230, font=font, anchor="rb")
    return np.asarray(image)


def reencoded(pixels: np.ndarray, quality: int = 50) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((round(image.width * factor), round(image.height * factor))))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
