"""The page of a model tested on corrupted slices: robustness.html, robustness.json, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.estimate import Estimate
from gliascope.evaluation.robustness import RobustnessMetrics
from gliascope.reports.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.pictures import encode_jpeg
from gliascope.reports.pages.templates import render
from gliascope.reports.robustness import Corruption, Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

ACROSS = 3  # figures side by side on a sheet
AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True, eq=False)
class CorruptedExample:
    """A slice to show, and what the model predicts for it.

    Attributes
    ----------
    pixels
        uint8 (height, width[, 3]).
    label, predicted, probability
        True class, predicted class, and its probability.
    verdict
        None for a model without verdicts.
    """

    pixels: NDArray[np.uint8]
    label: str
    predicted: str
    probability: float
    verdict: str | None


Examples = Mapping[str, Sequence[CorruptedExample]]
"""By corruption: the slice as it is, then at each of its strengths."""


def write_robustness(folder: Path, data: Robustness, examples: Examples) -> None:
    """Write robustness.html and robustness.json, each atomically."""
    page = render(
        "robustness.html.j2",
        title=data.title,
        created=data.created,
        version=data.gliascope,
        data=data,
        examples=examples,
        clean_setting=AS_IT_IS,
        curves={name: curve(name, one, data) for name, one in data.corruptions.items()},
        picture=encode_jpeg,
    )
    write_document(folder, data, page)


def figures(data: Robustness, examples: Examples) -> dict[str, Drawing]:
    """Return the figures by file name."""
    return {"curves": curve_sheet(data), "corruptions": example_sheet(data, examples)}


def curve(name: str, corruption: Corruption, data: Robustness) -> Drawing:
    """Draw accuracy, share and accuracy of accepted slices, by strength of a corruption; below, ECE."""

    def draw(figure: "Figure") -> None:
        _panels(figure, corruption, data)

    return Drawing(f"curve-{name}", (4.4, 3.6), draw)


def curve_sheet(data: Robustness) -> Drawing:
    """Draw the curves of all corruptions."""
    rows = -(-len(data.corruptions) // ACROSS)

    def draw(figure: "Figure") -> None:
        panels = figure.subfigures(rows, ACROSS, squeeze=False).ravel()
        for panel, one in zip(panels, data.corruptions.values(), strict=False):
            _panels(panel, one, data).set_title(one.title, loc="left", weight="bold")
        first = panels[0].axes[0]
        figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)

    return Drawing("curves", (4.4 * ACROSS, 3.8 * rows + 0.4), draw)


def example_sheet(data: Robustness, examples: Examples) -> Drawing:
    """Draw one slice under every strength of every corruption, a row each."""
    tests = data.corruptions
    across = max(map(len, examples.values()))

    def draw(figure: "Figure") -> None:
        grid = figure.subplots(len(tests), across, squeeze=False)
        for row, (name, one) in zip(grid, tests.items(), strict=True):
            for axes in row:
                axes.set_axis_off()
            for axes, answer, setting in zip(row, examples[name], _settings(one), strict=False):
                axes.imshow(answer.pixels, cmap="gray", vmin=0, vmax=255)
                axes.set_title(setting, fontsize=9)
            row[0].set_title(one.title, fontsize=9, weight="bold")

    return Drawing("corruptions", (1.5 * across, 1.75 * len(tests)), draw)


def _settings(one: Corruption) -> list[str]:
    return [AS_IT_IS, *(strength.setting for strength in one.strengths)]


def _panels(figure: "Figure | SubFigure", one: Corruption, data: Robustness) -> "Axes":
    upper: Axes
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    grades: list[RobustnessMetrics] = [data.clean, *one.strengths]
    places = list(range(len(grades)))
    lines: list[tuple[str, Sequence[Estimate], dict[str, Any]]] = [
        ("accuracy", [grade.accuracy for grade in grades], {"color": ACCENT, "marker": "o"})
    ]
    if data.has_verdicts:
        accepted = [grade.verdicts["accepted"] for grade in grades if grade.verdicts]
        lines += [
            ("of the accepted", [found.accuracy for found in accepted],
             {"color": ALARM, "marker": "s", "ls": (0, (5, 2))}),
            ("accepted", [found.share for found in accepted],
             {"color": INK, "marker": "^", "ls": (0, (1, 1.5))}),
        ]  # fmt: skip
    for label, numbers, style in lines:
        values, low, high = _percentages(numbers)
        upper.plot(places, values, lw=1.6, markersize=4.5, label=label, **style)
        if label == "accuracy":
            upper.fill_between(places, low, high, color=ACCENT, alpha=FAINT, lw=0)
    upper.set(ylabel="% of slices", ylim=(-2, 102))
    values, low, high = _percentages([grade.ece for grade in grades])
    lower.plot(places, values, color=ACCENT, marker="o", lw=1.6, markersize=3.5)
    lower.fill_between(places, low, high, color=ACCENT, alpha=FAINT, lw=0)
    lower.set(ylabel="ECE, %", ylim=(0, _highest_ece(data)))
    lower.set_xticks(places, _settings(one), fontsize=9)
    for axes in (upper, lower):
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
    return upper


def _highest_ece(data: Robustness) -> float:
    numbers = [data.clean.ece, *(row.ece for one in data.corruptions.values() for row in one.strengths)]
    return max(_percentages(numbers)[2]) * 1.05 + 0.1


def _percentages(numbers: Sequence[Estimate]) -> tuple[list[float], list[float], list[float]]:
    """Values, low and high ends in %; NaN where undefined, the value where there is no interval."""
    values = [float("nan") if one.value is None else 100 * one.value for one in numbers]
    low = [value if one.low is None else 100 * one.low for one, value in zip(numbers, values, strict=True)]
    high = [value if one.high is None else 100 * one.high for one, value in zip(numbers, values, strict=True)]
    return values, low, high
