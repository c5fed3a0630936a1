"""The page of saliency maps, explain.html, with explain.json and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope.reports.explanation import Explanation, LesionSet, Perturbation, Randomisation
from gliascope.reports.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "score_cam": "Score-CAM",
    "occlusion": "Occlusion",
    "centre_of_head": "Centre of the head",
    "random_order": "Random order",
    "lesion": "Lesion",
}
_STYLES = (("o", "-"), ("s", (0, (5, 2))), ("^", (0, (1, 1))), ("D", (0, (5, 1, 1, 1))))


@dataclass(frozen=True, slots=True)
class ExplainedSlice:
    """A slice of the gallery.

    Attributes
    ----------
    images
        JPEG or PNG files: the outlined lesion first, then each method's map over the slice.
    hits
        By method: whether its map points to the lesion.
    """

    name: str
    label: str
    predicted: str
    probability: float
    images: Mapping[str, bytes]
    hits: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Slices of one set to show: some at random, and the farthest misses of the main method."""

    random: Sequence[ExplainedSlice]
    misses: Sequence[ExplainedSlice]


def write_explanation(folder: Path, data: Explanation, galleries: Mapping[str, Gallery]) -> None:
    """Write explain.html and explain.json, each atomically. `galleries` are by set."""
    page = render(
        "explain.html.j2",
        title=data.title,
        created=data.created,
        version=data.gliascope,
        data=data,
        galleries=galleries,
        names=NAMES,
        figures=figures(data),
    )
    write_document(folder, data, page)


def figures(data: Explanation) -> dict[str, Drawing]:
    """Return the figures by file name."""
    drawings = {"localisation": localisation(data.sets)}
    for number, (name, one) in enumerate(data.sets.items(), start=1):
        suffix = "" if len(data.sets) == 1 else f"-{number}"
        drawings[f"perturbation{suffix}"] = perturbation(one.curves, f"perturbation{suffix}", name)
    if data.randomised:
        drawings["randomisation"] = randomisation(data.randomised)
    return drawings


def localisation(sets: Mapping[str, LesionSet]) -> Drawing:
    """Draw the share of slices whose peak lies at the lesion, and in it, by set and method."""
    rows = sum(len(one.figures) + 1 for one in sets.values())

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        place, ticks = 0, {}
        for name, one in sets.items():
            axes.text(1, place, f"{name}, {one.n} slices", va="center", weight="bold")
            place += 1
            for number, (method, row) in enumerate(one.figures.items()):
                colour = ALARM if row.against_baseline is None else ACCENT if number == 0 else INK
                for found, marker, up in ((row.pointing, "o", 0.13), (row.inside, "x", -0.13)):
                    value = 100 * (found.value or 0.0)
                    low, high = (value if end is None else 100 * end for end in (found.low, found.high))
                    spread = [[max(0, value - low)], [max(0, high - value)]]
                    axes.errorbar([value], [place - up], xerr=spread, fmt=marker, color=colour, markersize=5,
                                  lw=1.1, capsize=2)  # fmt: skip
                ticks[place] = NAMES.get(method, method)
                place += 1
        axes.set(xlim=(0, 100), ylim=(place - 0.5, -0.6))
        axes.set_xlabel("dot: pointing game; cross: in the lesion itself; % of slices")
        axes.set_yticks(list(ticks), list(ticks.values()))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=INK, alpha=FAINT, lw=0.5)

    return Drawing("localisation", (6.2, 0.8 + 0.32 * rows), draw)


def perturbation(curves: Mapping[str, Perturbation], name: str, title: str) -> Drawing:
    """Draw the probability of the class while pixels are revealed or blackened in each map's order."""

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        methods = [one for one in curves if one not in ("centre_of_head", "random_order")]
        for axes, shown in ((left, True), (right, False)):
            for method, row in curves.items():
                values = row.insertion_curve if shown else row.deletion_curve
                share = [100 * step / (len(values) - 1) for step in range(len(values))]
                if method in methods:
                    marker, dash = _STYLES[methods.index(method) % len(_STYLES)]
                    style: dict[str, Any] = {"color": ACCENT, "marker": marker, "ls": dash, "markevery": 4}
                else:
                    style = {"color": ALARM if method == "centre_of_head" else INK, "ls": (0, (2, 2))}
                axes.plot(share, values, lw=1.4, markersize=4, label=NAMES.get(method, method), **style)
            axes.set(xlabel=f"pixels {'shown' if shown else 'taken away'}, %", xlim=(0, 100))
            axes.grid(color=INK, alpha=FAINT, lw=0.5)
        left.set(ylabel=f"mean probability of the class, {title}", ylim=(0, 1.02))
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)

    return Drawing(name, (7.2, 3.8), draw)


def randomisation(randomised: Mapping[str, Randomisation]) -> Drawing:
    """Draw the correlation with the trained map while weights become random from the output down."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        steps = ["trained", *next(iter(randomised.values())).steps]
        for (method, row), (marker, dash) in zip(randomised.items(), _STYLES, strict=False):
            values = [1.0, *row.steps.values()]
            axes.plot(range(len(values)), values, color=ACCENT, marker=marker, ls=dash, lw=1.6,
                      label=NAMES.get(method, method))  # fmt: skip
        axes.plot([0, len(steps) - 1], [1, 1], color=ALARM, ls=(0, (2, 2)), label=NAMES["centre_of_head"])
        axes.axhline(0, color=INK, lw=0.6)
        axes.set(ylabel="correlation with the trained map", ylim=(-0.5, 1.1))
        axes.set_xticks(range(len(steps)), steps)
        axes.set_xlabel("random weights: the head, then ever more of the layers, the last first")
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
        axes.legend(loc="center right")

    return Drawing("randomisation", (6.2, 3.2), draw)
