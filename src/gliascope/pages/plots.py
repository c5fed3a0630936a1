"""Figures of the pages."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliascope.pages.svg import ACCENT, FAINT, INK, style, to_page

if TYPE_CHECKING:
    from markupsafe import Markup


def training_curves(rows: Sequence[dict[str, Any]], quantity: str, chosen_epoch: int | None) -> "Markup":
    """Train and validation `quantity` ("loss" or "accuracy") by epoch, as SVG.

    rows: keys epoch (counted through all stages), stage, train_<quantity>, val_<quantity> (None: no point).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    name = f"curves-{quantity}"
    with style(name):
        figure = Figure(figsize=(4.6, 3.2))
        axes = figure.add_subplot()
        epochs = [row["epoch"] for row in rows]
        for part, label, colour, line in (
            ("train", "training", INK, (0, (4, 2))),
            ("val", "validation", ACCENT, "solid"),
        ):
            values = [_or_nan(row[f"{part}_{quantity}"]) for row in rows]
            axes.plot(
                epochs, values, color=colour, linestyle=line, marker="o", markersize=3.5, lw=1.6, label=label
            )
            if part == "val" and chosen_epoch is not None and chosen_epoch in epochs:
                best = values[epochs.index(chosen_epoch)]
                axes.axvline(chosen_epoch, color=ACCENT, alpha=0.35, lw=1, zorder=0)
                axes.plot([chosen_epoch], [best], "o", color=ACCENT, markersize=9, label="chosen epoch")
        for row, after in pairwise(rows):
            if row["stage"] != after["stage"]:
                axes.axvline(row["epoch"] + 0.5, color=INK, alpha=0.4, lw=0.8, ls=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
        axes.legend()
        return to_page(figure, name)


def reliability_diagram(rows: Sequence[dict[str, Any]]) -> "Markup":
    """Accuracy against confidence with intervals, and how many slices are in each bin, as SVG.

    rows: what `metrics.reliability` returns.
    """
    from matplotlib.figure import Figure

    filled = [row for row in rows if row["count"]]
    confidence = [row["confidence"] for row in filled]
    accuracy = [row["accuracy"]["value"] for row in filled]
    below = [max(0.0, row["accuracy"]["value"] - row["accuracy"]["low"]) for row in filled]
    above = [max(0.0, row["accuracy"]["high"] - row["accuracy"]["value"]) for row in filled]
    with style("reliability"):
        figure = Figure(figsize=(5.4, 4.6))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)), label="perfectly calibrated")
        top.errorbar(
            confidence, accuracy, [below, above], fmt="o", color=ACCENT, markersize=5, lw=1.3, label="model"
        )
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
        top.grid(color=INK, alpha=FAINT, lw=0.5)
        top.legend(loc="upper left")
        bottom.bar(
            [(row["lower"] + row["upper"]) / 2 for row in filled],
            [row["count"] for row in filled],
            width=0.9 / len(rows),
            color=ACCENT,
            alpha=0.75,
        )
        bottom.set(xlabel="confidence (probability of the predicted class)", ylabel="slices", yscale="log")
        bottom.set_ylim(bottom=0.7)
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.minorticks_off()
        return to_page(figure, "reliability")


def intensities(histogram: NDArray[np.float64], others: NDArray[np.float64], name: str) -> "Markup":
    """Share of pixels by grey level, (256,), of one class and of all together, as SVG."""
    from matplotlib.figure import Figure

    with style(name):
        figure = Figure(figsize=(3.6, 2.2))
        axes = figure.add_subplot()
        edges = np.arange(0, 257, 4)
        for values, colour, fill in ((histogram, ACCENT, True), (others, INK, False)):
            bins = values.reshape(-1, 4).sum(axis=1)
            axes.stairs(bins, edges, color=colour, fill=fill, alpha=0.75 if fill else 1, lw=0.9)
        axes.set(xlabel="grey level", ylabel="share of pixels", xlim=(0, 256), yscale="log", ylim=(1e-4, 1))
        axes.set_xticks([0, 64, 128, 192, 255])
        axes.set_yticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
        axes.minorticks_off()
        return to_page(figure, name)


def sizes(rows: Sequence[tuple[int, int, int]], name: str) -> "Markup":
    """Width against height in pixels as SVG: sizes of a class as discs, those of other classes as rings.

    rows: width, height and how many slices the class has of them, 0 where only other classes have any.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    width, height, slices = np.array(rows).T
    own = slices > 0
    with style(name):
        figure = Figure(figsize=(3.6, 3.2))
        axes = figure.add_subplot()
        axes.scatter(width[~own], height[~own], s=10, facecolors="none", edgecolors=INK, alpha=0.3, lw=0.6)
        area = 8 + 120 * slices[own] / slices.sum()
        axes.scatter(width[own], height[own], s=area, color=ACCENT, alpha=0.6, lw=0)
        limits = min(width.min(), height.min()) / 1.3, max(width.max(), height.max()) * 1.3
        axes.plot(limits, limits, color=INK, alpha=0.4, lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(2))
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_locator(NullLocator())
        axes.set(xlabel="width, pixels", ylabel="height, pixels")
        axes.set_aspect("equal")
        return to_page(figure, name)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
