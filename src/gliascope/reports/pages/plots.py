"""Figures of the pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.metrics import Metrics
from gliascope.reports.pages.drawing import ACCENT, ALARM, INK, Drawing
from gliascope.runtime.formats import MAX_CLASS_COLUMNS, count, percent, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def intensities(histogram: NDArray[np.float64], everywhere: NDArray[np.float64], name: str) -> Drawing:
    """Draw the share of pixels by grey level, (256,), of one class (`histogram`) and of all classes together.

    name: of the drawing, unique in its page.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        edges = np.arange(0, 257, 4)
        for values, colour, fill in ((histogram, ACCENT, True), (everywhere, INK, False)):
            bins = values.reshape(-1, 4).sum(axis=1)
            axes.stairs(bins, edges, color=colour, fill=fill, alpha=0.75 if fill else 1, lw=0.9)
        axes.set(xlabel="grey level", ylabel="share of pixels", xlim=(0, 256), yscale="log", ylim=(1e-4, 1))
        axes.set_xticks([0, 64, 128, 192, 255])
        axes.set_yticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
        axes.minorticks_off()

    return Drawing(name, (3.6, 2.2), draw)


def sizes(rows: Sequence[tuple[int, int, int]], name: str) -> Drawing:
    """Draw width against height in pixels: sizes of a class as discs, those of other classes as rings.

    Parameters
    ----------
    rows
        Width, height, and number of slices of the class; 0 where only other classes have that size.
    name
        Of the figure.
    """
    width, height, slices = np.array(rows).T
    own = slices > 0

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import LogLocator, NullLocator

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

    return Drawing(name, (3.6, 3.2), draw)


def confusion(result: Metrics, protocol: str) -> Drawing:
    """Draw the confusion matrix as the report's table: counts, and shares of each true class (rows).

    Many classes are numbered, and have no room for shares.
    """
    classes, table = result.classes, result.confusion
    dense = len(classes) > MAX_CLASS_COLUMNS
    names = [shorten(name, 36 if dense else 18) for name in classes]
    numbers = [str(number) for number in range(1, len(classes) + 1)]

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for true, row in enumerate(table):
            for predicted, entry in enumerate(row):
                share = entry / sum(row) if sum(row) else 0.0
                # The root keeps a few mistakes visible beside hundreds of hits.
                colour = ACCENT if true == predicted else ALARM
                across = [predicted - 0.5, predicted + 0.5]
                alpha = 0.45 * share**0.35
                axes.fill_between(across, true - 0.5, true + 0.5, color=colour, lw=0, alpha=alpha)
                text = f"{count(entry)}\n{percent(share)}" if entry else "0"
                if dense:
                    text = count(entry) if entry else "·"
                weight = "bold" if true == predicted else "normal"
                axes.text(
                    predicted,
                    true,
                    text,
                    ha="center",
                    va="center",
                    weight=weight,
                    fontsize=7 if dense else 10,
                )
        places, limits = range(len(classes)), (-0.5, len(classes) - 0.5)
        axes.set(xlabel="predicted class", ylabel="true class", xlim=limits, ylim=limits[::-1])
        if dense:
            axes.set_xticks(places, numbers)
            rows = [f"{name}  {number}" for name, number in zip(names, numbers, strict=True)]
            axes.set_yticks(places, rows, fontsize=8)
        else:
            axes.set_xticks(places, names)
            axes.set_yticks(places, names)
        axes.tick_params(length=0)
        right = f"{percent(result.accuracy.value)} of {count(result.n)} slices right"
        axes.set_title(f"{protocol}: {right}")

    size = (3.6 + 0.4 * len(classes), 1.2 + 0.3 * len(classes))
    return Drawing("confusion", size if dense else (2 + 1.3 * len(classes), 1.4 + 0.95 * len(classes)), draw)


@dataclass(frozen=True, slots=True)
class PredictionExample:
    """A prediction to show. Pixels are uint8 (height, width[, 3]); the probability is of `predicted`."""

    pixels: NDArray[np.uint8]
    label: str
    predicted: str
    probability: float


def predictions(examples: Sequence[PredictionExample], columns: int = 6) -> Drawing:
    """Draw slices with their label and prediction; a wrong one has a cross and a dashed frame."""
    rows = -(-len(examples) // columns)

    def draw(figure: "Figure") -> None:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(examples) :]:
            axes.set_axis_off()
        for axes, item in zip(grid, examples, strict=False):
            _prediction(axes, item)

    return Drawing("predictions", (2.2 * columns, 2.75 * rows), draw)


def _prediction(axes: "Axes", item: PredictionExample) -> None:
    wrong = item.label != item.predicted
    axes.imshow(item.pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(wrong)
    axes.spines[:].set(color=ALARM, lw=3, ls=(0, (3, 1.5)), capstyle="butt")
    said = f"\u2717 said {shorten(item.predicted, 18)}" if wrong else "\u2713 right"
    between = ",\n" if wrong and shorten(item.predicted, 12) != item.predicted else ", "
    axes.set_title(
        f"{shorten(item.label, 22)}\n{said}{between}{percent(item.probability)}",
        fontsize=9,
        color=ALARM if wrong else INK,
        weight="bold" if wrong else "normal",
    )
