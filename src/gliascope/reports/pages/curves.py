"""Training curves by epoch, and the accuracy that choosing the epoch on the test set would have claimed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gliascope.recipes.run import EpochMetrics
from gliascope.reports.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.reports.report import Leak, find_leak

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTITIES = ("loss", "accuracy", "learning rate")
_DECADES = 1e-4  # of the highest rate; what a cosine ends at lies far below and would stretch the axis

Rows = Sequence[EpochMetrics]


def training_curve(rows: Rows, quantity: str, chosen_epoch: int | None) -> Drawing:
    """Draw one of QUANTITIES by epoch, counted through all stages; stage boundaries are dotted."""

    def draw(figure: "Figure") -> None:
        _curve(figure.add_subplot(), rows, quantity, chosen_epoch)

    return Drawing(f"curves-{quantity.replace(' ', '-')}", (4.6, 3.8), draw)


def training_sheet(rows: Rows, chosen_epoch: int | None) -> Drawing:
    """Draw all QUANTITIES side by side."""

    def draw(figure: "Figure") -> None:
        for axes, quantity in zip(figure.subplots(1, len(QUANTITIES)), QUANTITIES, strict=True):
            _curve(axes, rows, quantity, chosen_epoch)
        found = find_leak(rows, chosen_epoch)
        if found:
            figure.suptitle(leak_sentence(found), color=ALARM, fontsize=10)

    return Drawing("curves", (13.8, 4.2), draw)


def leak_sentence(leak: Leak) -> str:
    """Describe the two choices of an epoch in words."""
    from gliascope.runtime.formats import percent

    return (
        f"chosen on the test set: {percent(leak.accuracy)} at epoch {leak.epoch} (LEAK); "
        f"chosen on validation: {percent(leak.honest_accuracy)} at epoch {leak.honest_epoch}"
    )


def _curve(axes: "Axes", rows: Rows, quantity: str, chosen_epoch: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    if quantity == "learning rate":
        rates = [row.lr for row in rows]
        _line(axes, rows, rates, "", color=ACCENT)
        if min(rates) > 0:
            axes.set_yscale("log")
            axes.set_ylim(bottom=max(min(rates) / 1.5, max(rates) * _DECADES), top=max(rates) * 1.5)
    else:
        _subset_curves(axes, rows, quantity, chosen_epoch)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)  # on no curve
    boundaries = [row.epoch for row, after in pairwise(rows) if row.stage != after.stage]
    for number, epoch in enumerate(boundaries, start=2):
        axes.axvline(epoch + 0.5, color=INK, alpha=0.5, lw=0.8, ls=":")
        above = axes.get_xaxis_transform()
        axes.text(epoch + 0.5, 1.01, f" stage {number}", transform=above, fontsize=8)
    axes.set(xlabel="epoch", ylabel=quantity, xlim=(0.5, rows[-1].epoch + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)


def _subset_curves(axes: "Axes", rows: Rows, quantity: str, chosen_epoch: int | None) -> None:
    """Training and validation curves, and the test curve where training evaluated it: a leak."""
    values = {
        subset: [_or_nan(getattr(row, f"{subset}_{quantity}", None)) for row in rows]
        for subset in ("train", "val", "test")
    }
    _line(axes, rows, values["train"], "training", color=INK, ls=(0, (4, 2)))
    _line(axes, rows, values["val"], "validation", color=ACCENT)
    if any(value == value for value in values["test"]):  # noqa: PLR0124 (NaN differs from itself)
        _line(axes, rows, values["test"], "test (LEAK)", color=ALARM, ls=(0, (1, 1)), marker="x")
    epochs = [row.epoch for row in rows]
    if chosen_epoch is not None and chosen_epoch in epochs:
        best = values["val"][epochs.index(chosen_epoch)]
        axes.axvline(chosen_epoch, color=ACCENT, alpha=0.35, lw=1, zorder=0)
        axes.plot([chosen_epoch], [best], "o", color=ACCENT, markersize=9, label="chosen epoch")
    found = find_leak(rows, chosen_epoch)
    if found and quantity == "accuracy":
        axes.plot(
            [found.epoch], [found.accuracy], "s", mfc="none", color=ALARM, markersize=10,
            label="chosen on the test set (LEAK)",
        )  # fmt: skip


def _line(axes: "Axes", rows: Rows, values: list[float], label: str, **style: Any) -> None:
    epochs = [row.epoch for row in rows]
    size = 3.5 if len(rows) <= 40 else 2
    axes.plot(epochs, values, **{"marker": "o", "markersize": size, "lw": 1.6, "label": label} | style)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
