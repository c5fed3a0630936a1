"""The page explore.html: the contents of a catalogue."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope import __version__
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import THUMBNAIL_SIZE
from gliascope.reports.pages import plots
from gliascope.reports.pages.pictures import Album, Picture, encode_jpeg
from gliascope.reports.pages.templates import render
from gliascope.reports.report import ClassCounts

SAMPLES_PER_CLASS = 24
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class ClassAppearance:
    """Appearance of the slices of one class.

    Attributes
    ----------
    label, slices
        Name of the class, and how many slices it has.
    mean
        Mean of the thumbnails, (64, 64).
    histogram
        Share of thumbnail pixels of each grey level, (256,).
    pictures
        Some slices, drawn at random.
    """

    label: str
    slices: int
    mean: NDArray[np.float64]
    histogram: NDArray[np.float64]
    pictures: list[Picture]


def render_explore(catalog: Catalog, seed: int = 0) -> str:
    """Render explore.html: counts, sizes, intensities, mean images and random slices.

    Parameters
    ----------
    catalog
        The catalogue. Only the random slices are read from their files; thumbnails replace missing files.
    seed
        Of the random choice.

    Returns
    -------
    str
        The whole page.
    """
    pictured = catalog.with_thumbnails()
    frame, album = pictured.with_row_index("row"), Album(pictured)
    appearances = [_appearance(label, frame.filter(label=label), album, seed) for label in catalog.classes]
    everywhere = np.average(
        [appearance.histogram for appearance in appearances], axis=0, weights=[x.slices for x in appearances]
    )
    brightest = max(appearance.mean.max() for appearance in appearances) or 1.0
    sources = frame["source"].unique(maintain_order=True).to_list()
    return render(
        "explore.html.j2",
        title=", ".join(sources),
        version=__version__,
        sources=sources,
        frame=frame,
        appearances=appearances,
        classes=catalog.classes,
        means={
            appearance.label: encode_jpeg((appearance.mean * 255 / brightest).astype(np.uint8))
            for appearance in appearances
        },
        counts=count_slices(frame, ["source"]),
        subsets=count_slices(frame, ["source", "official"]) if frame["official"].count() else [],
        facts=_facts(frame),
        unreadable=dict(catalog.excluded["reason"].value_counts().sort("reason").rows()),
        sizes={
            appearance.label: _sizes(frame, appearance.label, f"sizes-{n}")
            for n, appearance in enumerate(appearances)
        },
        intensities={
            appearance.label: plots.intensities(appearance.histogram, everywhere, f"intensities-{n}")
            for n, appearance in enumerate(appearances)
        },
    )


def count_slices(frame: pl.DataFrame, by: list[str]) -> list[ClassCounts]:
    """Count slices by class for each value of the columns `by`, in order of appearance; then for all."""
    rows = []
    for key, part in frame.group_by(by, maintain_order=True):
        name = ", ".join(str(value) for value in key if value is not None)
        rows.append(ClassCounts.of(name, dict(part["label"].value_counts().sort("label").rows())))
    if len(rows) > 1:
        rows.append(ClassCounts.of("all", dict(frame["label"].value_counts().sort("label").rows())))
    return rows


def _appearance(label: str, frame: pl.DataFrame, album: Album, seed: int) -> ClassAppearance:
    mean = np.zeros(THUMBNAIL_SIZE * THUMBNAIL_SIZE)
    histogram = np.zeros(256)
    for part in frame.iter_slices(_CHUNK):
        pixels = np.frombuffer(b"".join(part["thumbnail"]), dtype=np.uint8).reshape(part.height, -1)
        mean += pixels.sum(axis=0, dtype=np.float64) / frame.height
        histogram += np.bincount(pixels.ravel(), minlength=256) / (frame.height * pixels.shape[1])
    order = np.random.default_rng(seed).permutation(frame.height)[:SAMPLES_PER_CLASS]
    return ClassAppearance(
        label,
        frame.height,
        mean.reshape(THUMBNAIL_SIZE, THUMBNAIL_SIZE),
        histogram,
        [album[row] for row in frame["row"].gather(order)],
    )


def _sizes(frame: pl.DataFrame, label: str, name: str) -> dict[str, Any]:
    """Number of image sizes of a class, the most frequent one, and a figure of all sizes."""
    counts = (
        frame.group_by("width", "height")
        .agg(slices=(pl.col("label") == label).sum())
        .sort("slices", "width", "height", descending=True)
    )
    own = counts.filter(pl.col("slices") > 0)
    width, height, slices = own.row(0)
    return {
        "distinct": own.height,
        "commonest": f"{width}×{height}",
        "share": slices / own["slices"].sum(),
        "figure": plots.sizes(counts.rows(), name),
    }


def _facts(frame: pl.DataFrame) -> dict[str, str]:
    """Other facts in the catalogue as text, such as "MR 7,023, not stated 12"."""
    facts = {}
    for column, name in (
        ("modality", "modality"),
        ("format", "file format"),
        ("channels", "colour channels"),
    ):
        counts = frame[column].value_counts(sort=True).rows()
        facts[name] = ", ".join(
            f"{'not stated' if value is None else value} ({number:,})" for value, number in counts
        )
    facts["distinct slices"] = f"{frame['pixel_hash'].n_unique():,}"
    known = frame["patient"].drop_nulls()
    facts["patients"] = f"{known.n_unique():,} known, of {len(known):,} slices" if len(known) else "not known"
    return facts
