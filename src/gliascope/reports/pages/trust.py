"""Figures of calibration, prediction sets and outlier scores."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.reliability import ReliabilityBin
from gliascope.evaluation.verdicts import Histogram
from gliascope.reports.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.reports.uncertainty import SetsAtLevel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bins = Sequence[ReliabilityBin]


def reliability_diagram(rows: Bins, before: Bins | None = None) -> Drawing:
    """Draw accuracy against confidence, and the slices in each bin; also as before calibration."""

    def draw(figure: "Figure") -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)), label="perfectly calibrated")
        if before is not None:
            _points(
                top,
                *_measured(before),
                color=INK,
                alpha=0.55,
                fmt="s",
                mfc="none",
                markersize=5,
                label="as trained",
            )
        for points in _by_model(rows):
            top.plot(*zip(*points, strict=True), color=ACCENT, alpha=0.35, lw=0.8)
        label = "model" if before is None else "calibrated"
        _points(top, *_measured(rows), color=ACCENT, fmt="o", markersize=5, lw=1.3, label=label)
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
        top.grid(color=INK, alpha=FAINT, lw=0.5)
        figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        _bars(bottom, rows, color=ACCENT, alpha=0.75)
        if before is not None:
            _bars(bottom, before, fill=False, edgecolor=INK, alpha=0.55, lw=0.9)
        bottom.set(xlabel="confidence (probability of the predicted class)", ylabel="slices", yscale="log")
        bottom.set_ylim(bottom=0.7)
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.minorticks_off()

    return Drawing("reliability", (5.4, 4.6), draw)


def coverage(curve: Sequence[SetsAtLevel], chosen: float) -> Drawing:
    """Draw coverage and mean size of prediction sets by nominal level; `chosen` is the deployed one."""
    levels = [row.level for row in curve]

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)), label="as promised")
        numbers = ((left, [row.coverage for row in curve]), (right, [row.size for row in curve]))
        for axes, found in numbers:
            _points(axes, levels, found, color=ACCENT, fmt="o-", markersize=5, lw=1.3)
            axes.axvline(chosen, color=ACCENT, alpha=0.35, lw=1, zorder=0)
            axes.grid(color=INK, alpha=FAINT, lw=0.5)
            axes.set(xlabel="promised level", xlim=(min(levels) - 0.02, 1.005))
        left.set(ylabel="share of sets that hold the truth", ylim=(min(levels) - 0.02, 1.005))
        left.legend(loc="upper left")
        right.set(ylabel="classes in a set, mean")

    return Drawing("coverage", (7.2, 3.2), draw)


def outlier_histogram(histogram: Histogram) -> Drawing:
    """Draw the outlier scores of the test slices; those past the line are out of scope."""
    edges, counts = histogram.edges, histogram.counts

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        widths = [after - before for before, after in pairwise(edges)]
        colours = [ALARM if edge > 1 - 1e-9 else ACCENT for edge in edges[:-1]]
        axes.bar(edges[:-1], counts, widths, align="edge", color=colours, alpha=0.75)
        axes.axvline(1, color=INK, lw=0.9, ls=(0, (4, 3)))
        axes.text(1, 1.01, " out of scope", transform=axes.get_xaxis_transform(), fontsize=9)
        axes.set(xlabel="outlier score (distance; 1 is the threshold)", ylabel="test slices", xscale="log")
        axes.set_xlim(min(edges[0], 0.5), max(edges[-1], 2))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)

    return Drawing("outliers", (5.4, 2.8), draw)


def _by_model(rows: Bins) -> list[list[tuple[float, float]]]:
    """Confidence and accuracy in each bin that a model has slices in, by model; empty for one model alone."""
    models = zip(*(row.models for row in rows), strict=True)
    return [[(point.confidence, point.accuracy) for point in model if point] for model in models]


def _measured(rows: Bins) -> tuple[list[float], list[Estimate]]:
    """Confidence and accuracy of the bins that have slices."""
    known = [row for row in rows if row.confidence is not None]
    return [row.confidence or 0.0 for row in known], [row.accuracy for row in known]


def _points(axes: "Axes", places: Sequence[float], numbers: Sequence[Estimate], **style: Any) -> None:
    """Draw measured values, with whiskers where there is an interval."""
    values = [number.value or 0.0 for number in numbers]
    ends = [
        [0.0 if end is None else abs(end - value) for end, value in zip(side, values, strict=True)]
        for side in ([number.low for number in numbers], [number.high for number in numbers])
    ]
    axes.errorbar(places, values, ends, **style)


def _bars(axes: "Axes", rows: Bins, **style: Any) -> None:
    filled = [row for row in rows if row.count]
    middles = [(row.lower + row.upper) / 2 for row in filled]
    axes.bar(middles, [row.count for row in filled], width=0.9 / len(rows), **style)
