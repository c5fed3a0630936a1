"""explore.html from a Catalog: what is in a dataset, at a glance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope import __version__
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import THUMBNAIL_SIZE
from gliascope.reports.pages import plots
from gliascope.reports.pages.pictures import Album, Picture, encode
from gliascope.reports.pages.templates import render
from gliascope.reports.report import ClassCounts

DRAWN = 24
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class ClassLook:
    """What the slices of one class look like.

    mean: of the thumbnails, (64, 64). histogram: share of thumbnail pixels of each grey level, (256,).
    """

    label: str
    slices: int
    mean: NDArray[np.float64]
    histogram: NDArray[np.float64]
    pictures: list[Picture]


def render_explore(catalog: Catalog, seed: int = 0) -> str:
    """explore.html as text: counts, sizes, intensities, mean images and slices drawn at random by `seed`.

    All is told from the catalogue but the drawn slices, which are read again where their files still are.
    """
    pictured = catalog.with_thumbnails()
    frame, album = pictured.with_row_index("row"), Album(pictured)
    looks = [_look(label, frame.filter(label=label), album, seed) for label in catalog.classes]
    everywhere = np.average([look.histogram for look in looks], axis=0, weights=[x.slices for x in looks])
    brightest = max(look.mean.max() for look in looks) or 1.0
    sources = frame["source"].unique(maintain_order=True).to_list()
    return render(
        "explore.html.j2",
        title=", ".join(sources),
        version=__version__,
        sources=sources,
        frame=frame,
        looks=looks,
        classes=catalog.classes,
        means={look.label: encode((look.mean * 255 / brightest).astype(np.uint8)) for look in looks},
        counts=count_slices(frame, ["source"]),
        parts=count_slices(frame, ["source", "official"]) if frame["official"].count() else [],
        facts=_facts(frame),
        rejects=dict(catalog.excluded["reason"].value_counts().sort("reason").rows()),
        sizes={look.label: _sizes(frame, look.label, f"sizes-{n}") for n, look in enumerate(looks)},
        intensities={
            look.label: plots.intensities(look.histogram, everywhere, f"intensities-{n}")
            for n, look in enumerate(looks)
        },
    )


def count_slices(frame: pl.DataFrame, by: list[str]) -> list[ClassCounts]:
    """Slices by class of each value of the columns `by`, in order of first appearance; then of all."""
    rows = []
    for key, part in frame.group_by(by, maintain_order=True):
        name = ", ".join(str(value) for value in key if value is not None)
        rows.append(ClassCounts.of(name, dict(part["label"].value_counts().sort("label").rows())))
    if len(rows) > 1:
        rows.append(ClassCounts.of("all", dict(frame["label"].value_counts().sort("label").rows())))
    return rows


def _look(label: str, frame: pl.DataFrame, album: Album, seed: int) -> ClassLook:
    mean = np.zeros(THUMBNAIL_SIZE * THUMBNAIL_SIZE)
    histogram = np.zeros(256)
    for part in frame.iter_slices(_CHUNK):
        pixels = np.frombuffer(b"".join(part["thumbnail"]), dtype=np.uint8).reshape(part.height, -1)
        mean += pixels.sum(axis=0, dtype=np.float64) / frame.height
        histogram += np.bincount(pixels.ravel(), minlength=256) / (frame.height * pixels.shape[1])
    order = np.random.default_rng(seed).permutation(frame.height)[:DRAWN]
    return ClassLook(
        label,
        frame.height,
        mean.reshape(THUMBNAIL_SIZE, THUMBNAIL_SIZE),
        histogram,
        [album[row] for row in frame["row"].gather(order)],
    )


def _sizes(frame: pl.DataFrame, label: str, name: str) -> dict[str, Any]:
    """How many sizes a class has, its commonest one, and all of them against those of the other classes."""
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
    """What else the catalogue knows, as text: "MR 7,023, not stated 12"."""
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
