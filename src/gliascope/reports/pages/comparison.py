"""The comparison of runs: compare.html, compare.json, and the figure of accuracy against latency."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gliascope.reports.comparison import ComparedRun, Comparison
from gliascope.reports.pages.drawing import ACCENT, FAINT, INK, Drawing
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Where the numbers stand, in points from their dots, so that those of neighbours do not meet.
_OFFSETS = ((6, 5), (6, -13), (-13, 5), (-13, -13))


def write_comparison(folder: Path, data: Comparison) -> None:
    """Write compare.html and compare.json, each atomically."""
    page = render(
        "compare.html.j2",
        title=f"{len(data.runs)} runs on {data.title}",
        created=data.created,
        version=data.gliascope,
        data=data,
        figure=accuracy_against_latency(data.runs),
        several_groups=data.groups != data.n,
    )
    write_document(folder, data, page)


def accuracy_against_latency(runs: Sequence[ComparedRun]) -> Drawing:
    """Draw runs as numbered points, the best filled; whiskers are 95 % intervals."""

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import LogLocator, NullLocator

        axes = figure.add_subplot()
        by_latency = sorted(range(len(runs)), key=lambda number: runs[number].latency_ms.value)
        for place, number in enumerate(by_latency):
            latency, accuracy = runs[number].latency_ms.value, runs[number].accuracy
            value = accuracy.value or 0.0
            value, low, high = (100 * (end or value) for end in (value, accuracy.low, accuracy.high))
            colour = ACCENT if number == 0 else INK
            axes.errorbar(
                [latency], [value], [[value - low], [high - value]], fmt="o" if number == 0 else "D",
                color=colour, markersize=6, lw=1.2, capsize=3, mfc=colour if number == 0 else "none",
                label=f"{number + 1}  {runs[number].name}",
            )  # fmt: skip
            axes.annotate(
                str(number + 1), (latency, value), _OFFSETS[place % len(_OFFSETS)],
                textcoords="offset points", color=colour, weight="bold",
            )  # fmt: skip
        axes.set(xscale="log", xlabel="latency of one slice, ms", ylabel="accuracy, %")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.15)
        axes.grid(color=INK, alpha=FAINT, lw=0.5)
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda place: by_latency[place])
        figure.legend(
            [handles[place] for place in order], [labels[place] for place in order], loc="outside lower left"
        )

    return Drawing("compare", (5.4, 3.6 + 0.23 * len(runs)), draw)
