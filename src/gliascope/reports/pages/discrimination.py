"""ROC and precision-recall curves of each class against the rest."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from gliascope.evaluation.curves import ClassCurves
from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.metrics import Metrics
from gliascope.reports.pages.drawing import ACCENT, FAINT, INK, PAPER, Drawing
from gliascope.runtime.formats import MAX_CLASS_COLUMNS, decimal, shorten, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, MANY_ACROSS = 2, 4  # panels side by side, and where there are many
ZOOM = 0.1  # side of the corner that curves which reach it have drawn again, larger
SIDE, SMALL = 3.1, 2.5  # inches

Curves = Mapping[str, ClassCurves]
Points = Sequence[tuple[float, float]]
Kind = Literal["roc", "precision_recall"]


def roc_curves(curves: Curves, result: Metrics) -> Drawing:
    """Draw recall against false positive rate, a panel for each class; the areas are those of `result`."""
    areas = {name: result.per_class[name].auroc for name in curves}

    def draw(figure: "Figure") -> None:
        for axes, (name, entry) in zip(_panels(figure, len(curves)), curves.items(), strict=False):
            _curves(axes, entry, "roc", chance=[(0, 0), (1, 1)], steps="default")
            if len(curves) <= MAX_CLASS_COLUMNS and _reaches(entry.roc, 0):
                _curves(_corner(axes, 0), entry, "roc", chance=[(0, 0), (1, 1)], steps="default")
            axes.set(xlabel="false positive rate", ylabel="recall")
            _title(axes, name, f"AUROC {_area(areas[name])}", len(curves))

    return Drawing("roc", _size(len(curves)), draw)


def precision_recall_curves(curves: Curves) -> Drawing:
    """Draw precision against recall, a panel for each class; the dashed line is chance."""

    def draw(figure: "Figure") -> None:
        for axes, (name, entry) in zip(_panels(figure, len(curves)), curves.items(), strict=False):
            chance = [(0.0, entry.prevalence), (1.0, entry.prevalence)]
            _curves(axes, entry, "precision_recall", chance=chance, steps="steps-pre")
            if len(curves) <= MAX_CLASS_COLUMNS and _reaches(entry.precision_recall, 1 - ZOOM):
                _curves(_corner(axes, 1 - ZOOM), entry, "precision_recall", chance=chance, steps="steps-pre")
            axes.set(xlabel="recall", ylabel="precision")
            _title(axes, name, f"AP {_area(entry.average_precision)}", len(curves))

    return Drawing("precision-recall", _size(len(curves)), draw)


def _panels(figure: "Figure", count: int) -> "list[Axes]":
    panels: list[Axes] = (
        figure.subplots(_rows(count), min(count, _across(count)), squeeze=False).ravel().tolist()
    )
    for axes in panels[:count]:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    for axes in panels[count:]:
        axes.set_axis_off()
    return panels


def _curves(axes: "Axes", entry: ClassCurves, kind: Kind, *, chance: Points, steps: str) -> None:
    """Draw the curve of a class, those of each model (faint), and chance."""
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(*zip(*chance, strict=True), color=INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)))
    for model in entry.models:
        axes.plot(*zip(*getattr(model, kind), strict=True), color=ACCENT, alpha=0.35, lw=0.7, drawstyle=steps)
    axes.plot(*zip(*getattr(entry, kind), strict=True), color=ACCENT, lw=1.6, drawstyle=steps)
    axes.grid(color=INK, alpha=FAINT, lw=0.5)
    axes.set(xlim=limits[0], ylim=limits[1])


def _title(axes: "Axes", name: str, area: str, count: int) -> None:
    small = count > MAX_CLASS_COLUMNS
    axes.set_title(f"{shorten(name, 30)}\n{area}", fontsize=8 if small else 10)


def _reaches(points: Points, left: float) -> bool:
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


def _area(number: Estimate) -> str:
    interval = span(number, "decimal")
    return decimal(number.value) + (f" ({interval})" if interval else "")


def _across(count: int) -> int:
    return ACROSS if count <= MAX_CLASS_COLUMNS else MANY_ACROSS


def _rows(count: int) -> int:
    return -(-count // _across(count))


def _size(count: int) -> tuple[float, float]:
    side = SIDE if count <= MAX_CLASS_COLUMNS else SMALL
    return side * min(count, _across(count)), (side + 0.35) * _rows(count)
