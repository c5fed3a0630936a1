from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from gliascope.audit.burned_in_text import coloured_share, count_letters, outside_head_mask
from gliascope.audit.quality_issues import find_quality_issues
from gliascope.audit.result import QUALITY_ISSUES_SCHEMA
from gliascope.dataset.scan import scan
from gliascope.synthetic import phantom

SIDE = 128
Change = Callable[[Image.Image], Image.Image]


def write(root: Path, changes: dict[str, Change], plain: int = 24) -> pl.DataFrame:
    """Scan a source of phantoms: `plain` a class as they are, and one changed by each of `changes`."""
    for order, label in enumerate(("glioma", "no_tumor")):
        folder = root / "source" / label
        folder.mkdir(parents=True)
        for number in range(plain):
            picture(label, 100 * order + number).save(folder / f"{number}.png")
    for number, (name, change) in enumerate(changes.items()):
        change(picture("glioma", 500 + number)).save(root / "source/glioma" / name)
    return scan([root / "source"]).with_thumbnails()


def picture(label: str, seed: int) -> Image.Image:
    return Image.fromarray(phantom(label, seed, size=SIDE).pixels)


def found(frame: pl.DataFrame) -> set[tuple[str, str]]:
    """Name and kind of each quality issue."""
    issues = find_quality_issues(frame, np.arange(frame.height), 0)
    assert issues.schema == pl.Schema(QUALITY_ISSUES_SCHEMA)
    return {(row["path"].rpartition("/")[2], row["kind"]) for row in issues.iter_rows(named=True)}


def labelled(image: Image.Image) -> Image.Image:
    wider = Image.new("L", (SIDE + 60, SIDE + 60))
    wider.paste(image, (30, 30))
    ImageDraw.Draw(wider).text((6, 6), "R 3 cm", fill=255)
    return wider


def face(random: np.random.Generator) -> Image.Image:
    """A head with eyes at the top and a bright spot anywhere below."""
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = random.integers(-4, 5, 4)
    draw.ellipse((28 + left, 14 + top, 100 + right, 114 + bottom), fill=90)
    for eye in (46, 74):
        draw.ellipse((eye + left, 24 + top, eye + left + 12, 36 + top), fill=200)
    x, y = random.integers(45, 75), random.integers(60, 90)
    draw.ellipse((x, y, x + 12, y + 12), fill=int(random.integers(120, 220)))
    return image


def banner(image: Image.Image) -> Image.Image:
    image = image.convert("RGB")
    image.paste((20, 60, 200), (0, SIDE - 6, SIDE, SIDE))
    return image


def test_planted_quality_issues_are_found_and_nothing_else(tmp_path: Path) -> None:
    frame = write(
        tmp_path,
        {
            "blank.png": lambda image: Image.new("L", image.size, 7),
            "nearly.png": lambda image: Image.fromarray(np.asarray(image) // 16),
            "text.png": labelled,
            "colour.png": banner,
            "tiny.png": lambda image: image.resize((40, 40)),
            "long.png": lambda image: image.resize((400, 100)),
            "huge.png": lambda image: image.resize((1024, 1024)),
        },
    )
    assert found(frame) == {
        ("blank.png", "nearly blank"),
        ("nearly.png", "nearly blank"),
        ("text.png", "text beside the head"),
        ("colour.png", "coloured"),
        ("tiny.png", "extreme size"),
        ("long.png", "extreme size"),
        ("huge.png", "extreme size"),
    }


def test_slices_upside_down_are_found(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    turns = {
        "turned": Image.Transpose.ROTATE_180,
        "mirrored": Image.Transpose.FLIP_TOP_BOTTOM,
        "sideways": Image.Transpose.FLIP_LEFT_RIGHT,
    }
    for label in ("glioma", "no_tumor"):
        (tmp_path / "source" / label).mkdir(parents=True)
        for number in range(60):
            face(random).save(tmp_path / "source" / label / f"{number}.png")
    for name, turn in turns.items():
        for number in range(4):
            face(random).transpose(turn).save(tmp_path / f"source/glioma/{name}-{number}.png")
    # A slice that the set holds both ways up is no measure of which is right.
    both_ways = face(random)
    both_ways.save(tmp_path / "source/no_tumor/upright.png")
    both_ways.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "source/no_tumor/mirrored-5.png")
    issues = found(scan([tmp_path / "source"]).with_thumbnails())
    upside_down = {f"{name}-{n}.png" for name in ("turned", "mirrored") for n in range(4)} | {
        "mirrored-5.png"
    }
    assert issues == {(name, "upside down") for name in upside_down}


def test_another_modality_than_nearly_all_of_the_source(tmp_path: Path) -> None:
    frame = write(tmp_path, {})
    modality = np.array(["MR"] * frame.height)
    modality[3] = "CT"
    issues = find_quality_issues(frame.with_columns(modality=pl.Series(modality)), np.arange(frame.height), 0)
    assert issues.select("path", "kind").rows() == [(frame["path"][3], "other modality")]
    assert issues["detail"][0].startswith("CT, where 97.9% of the source are MR")
    half = np.where(np.arange(frame.height) % 2, "CT", "MR")
    assert find_quality_issues(
        frame.with_columns(modality=pl.Series(half)), np.arange(frame.height), 0
    ).is_empty()


def test_copies_are_named_once_and_lost_files_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = write(tmp_path, {"a.png": banner})
    again = frame.filter(pl.col("path").str.ends_with("a.png")).with_columns(path=pl.lit("source/b.png"))
    both = pl.concat([frame, again])
    assert found(both) == {("a.png", "coloured")}
    (tmp_path / "source/glioma/a.png").unlink()
    assert found(both) == set()
    assert "1 files could not be read again" in capsys.readouterr().err


def test_letters_are_told_from_the_head() -> None:
    grey = np.asarray(picture("glioma", 1))
    assert count_letters(grey) == 0
    assert not outside_head_mask(grey[None]).any()
    assert count_letters(np.asarray(labelled(picture("glioma", 1)))) >= 2
    assert count_letters(np.full((64, 64), 200, np.uint8)) == 0
    assert coloured_share(np.zeros((4, 4), np.uint8)) == 0
    assert coloured_share(np.asarray(banner(picture("glioma", 1)))) == pytest.approx(6 / SIDE)
