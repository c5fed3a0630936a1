"""Figures of the report: SVG text that follows the page's colours, identical for identical input."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import pairwise
from typing import Any

# Drawn in these colours, then replaced by the page's own, so that one figure serves light and dark.
_INK, _ACCENT = "#010203", "#040506"
_PAGE_COLOURS = {_INK: "currentColor", _ACCENT: "var(--accent)"}
_FAINT = 0.18

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def training_curves(rows: Sequence[dict[str, Any]], quantity: str, chosen_epoch: int | None) -> str:
    """Train and validation `quantity` ("loss" or "accuracy") by epoch, as SVG.

    rows: keys epoch (counted through all stages), stage, train_<quantity>, val_<quantity> (None: no point).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    name = f"curves-{quantity}"
    with _style(name):
        figure = Figure(figsize=(4.6, 3.2))
        axes = figure.add_subplot()
        epochs = [row["epoch"] for row in rows]
        for part, label, colour, line in (
            ("train", "training", _INK, (0, (4, 2))),
            ("val", "validation", _ACCENT, "solid"),
        ):
            values = [_or_nan(row[f"{part}_{quantity}"]) for row in rows]
            axes.plot(
                epochs, values, color=colour, linestyle=line, marker="o", markersize=3.5, lw=1.6, label=label
            )
            if part == "val" and chosen_epoch is not None and chosen_epoch in epochs:
                best = values[epochs.index(chosen_epoch)]
                axes.axvline(chosen_epoch, color=_ACCENT, alpha=0.35, lw=1, zorder=0)
                axes.plot([chosen_epoch], [best], "o", color=_ACCENT, markersize=9, label="chosen epoch")
        for row, after in pairwise(rows):
            if row["stage"] != after["stage"]:
                axes.axvline(row["epoch"] + 0.5, color=_INK, alpha=0.4, lw=0.8, ls=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(axis="y", color=_INK, alpha=_FAINT, lw=0.5)
        axes.legend()
        return _to_page(figure, name)


def reliability_diagram(rows: Sequence[dict[str, Any]]) -> str:
    """Accuracy against confidence with intervals, and how many slices are in each bin, as SVG.

    rows: what `metrics.reliability` returns.
    """
    from matplotlib.figure import Figure

    filled = [row for row in rows if row["count"]]
    confidence = [row["confidence"] for row in filled]
    accuracy = [row["accuracy"]["value"] for row in filled]
    below = [max(0.0, row["accuracy"]["value"] - row["accuracy"]["low"]) for row in filled]
    above = [max(0.0, row["accuracy"]["high"] - row["accuracy"]["value"]) for row in filled]
    with _style("reliability"):
        figure = Figure(figsize=(5.4, 4.6))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=_INK, alpha=0.5, lw=0.9, ls=(0, (4, 3)), label="perfectly calibrated")
        top.errorbar(
            confidence, accuracy, [below, above], fmt="o", color=_ACCENT, markersize=5, lw=1.3, label="model"
        )
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
        top.grid(color=_INK, alpha=_FAINT, lw=0.5)
        top.legend(loc="upper left")
        bottom.bar(
            [(row["lower"] + row["upper"]) / 2 for row in filled],
            [row["count"] for row in filled],
            width=0.9 / len(rows),
            color=_ACCENT,
            alpha=0.75,
        )
        bottom.set(xlabel="confidence (probability of the predicted class)", ylabel="slices", yscale="log")
        bottom.set_ylim(bottom=0.7)
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.minorticks_off()
        return _to_page(figure, "reliability")


@contextmanager
def _style(name: str) -> Iterator[None]:
    """Draw in the style of this module, whatever the user's own settings."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": name})
        yield


def _to_page(figure: Any, name: str) -> str:
    """SVG of a figure, to stand inside an HTML page: no prologue, no fixed size, ids of its own."""
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font-family: [^;]*; ?", "", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\1{name}-", svg)
    for drawn, shown in _PAGE_COLOURS.items():
        svg = svg.replace(drawn, shown)
    return svg


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
