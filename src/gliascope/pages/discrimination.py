"""How well a score ranks each class before the rest: ROC and precision-recall curves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gliascope.pages.drawing import ACCENT, FAINT, INK, PAPER, Drawing
from gliascope.pages.formats import decimal, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZOOM = 0.1  # side of the corner that curves which reach it have drawn again, larger
SIDE = 3.1  # inches

Curves = Mapping[str, Mapping[str, Any]]


def roc_curves(curves: Curves, result: Mapping[str, Any]) -> Drawing:
    """Recall against false positives, a panel for each class.

    curves: of `evaluate_curves`; result: of `evaluate_scores`, for the areas.
    """
    areas = {name: result["per_class"][name]["auroc"] for name in curves}

    def draw(figure: "Figure") -> None:
        for axes, (name, entry) in zip(_panels(figure, len(curves)), curves.items(), strict=False):
            _curve(axes, entry["roc"], [[0, 0], [1, 1]], "default")
            if _reaches(entry["roc"], 0):
                _curve(_corner(axes, 0), entry["roc"], [[0, 0], [1, 1]], "default")
            axes.set(xlabel="false positive rate", ylabel="recall")
            axes.set_title(f"{name}\nAUROC {_area(areas[name])}", fontsize=10)

    return Drawing("roc", _size(len(curves)), draw)


def precision_recall_curves(curves: Curves) -> Drawing:
    """Precision against recall, a panel for each class; dashed what naming it at random has."""

    def draw(figure: "Figure") -> None:
        for axes, (name, entry) in zip(_panels(figure, len(curves)), curves.items(), strict=False):
            chance = [[0, entry["prevalence"]], [1, entry["prevalence"]]]
            _curve(axes, entry["precision_recall"], chance, "steps-pre")
            if _reaches(entry["precision_recall"], 1 - ZOOM):
                _curve(_corner(axes, 1 - ZOOM), entry["precision_recall"], chance, "steps-pre")
            axes.set(xlabel="recall", ylabel="precision")
            axes.set_title(f"{name}\nAP {_area(entry['average_precision'])}", fontsize=10)

    return Drawing("precision-recall", _size(len(curves)), draw)


def _panels(figure: "Figure", count: int) -> "list[Axes]":
    panels: list[Axes] = figure.subplots(_rows(count), min(count, 2), squeeze=False).ravel().tolist()
    for axes in panels[:count]:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    for axes in panels[count:]:
        axes.set_axis_off()
    return panels


def _curve(axes: "Axes", points: list[list[float]], chance: list[list[float]], steps: str) -> None:
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(*zip(*chance, strict=True), color=INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)))
    axes.plot(*zip(*points, strict=True), color=ACCENT, lw=1.6, drawstyle=steps)
    axes.grid(color=INK, alpha=FAINT, lw=0.5)
    axes.set(xlim=limits[0], ylim=limits[1])


def _reaches(points: list[list[float]], left: float) -> bool:
    return any(left <= x <= left + ZOOM and y >= 1 - ZOOM for x, y in points)


def _corner(axes: "Axes", left: float) -> "Axes":
    """Axes in the middle of others, for their upper left or right corner."""
    inset: Axes = axes.inset_axes((0.32, 0.22, 0.56, 0.56))
    # Not its face colour: saved as SVG, axes are transparent.
    inset.fill_between([0, 1], 0, 1, color=PAPER, lw=0, zorder=-1, transform=inset.transAxes)
    inset.spines[:].set_visible(True)
    margin = ZOOM / 25
    ends = [left, left + ZOOM], [1 - ZOOM, 1.0]
    inset.set(
        xlim=(ends[0][0] - margin, ends[0][1] + margin),
        ylim=(ends[1][0] - margin, ends[1][1] + margin),
        xticks=ends[0],
        yticks=ends[1],
    )
    inset.tick_params(labelsize=8)
    if left == 0:  # away from the diagonal
        inset.yaxis.tick_right()
    axes.indicate_inset_zoom(inset, edgecolor=INK, alpha=0.35)
    return inset


def _area(number: Mapping[str, float | None]) -> str:
    interval = span(number, "decimal")
    return decimal(number["value"]) + (f" ({interval})" if interval else "")


def _rows(count: int) -> int:
    return -(-count // 2)


def _size(count: int) -> tuple[float, float]:
    return SIDE * min(count, 2), (SIDE + 0.35) * _rows(count)
