"""Saliency maps against outlined lesions: explain.html, explain.json, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope import RESEARCH_USE
from gliascope.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.pages.output import write_page
from gliascope.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = 0.05
UNCHANGED = 0.5
"""Correlation with the map of random weights from which on a map is called a defect."""
NAMES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "score_cam": "Score-CAM",
    "occlusion": "Occlusion",
    "centre_of_head": "Centre of the head",
    "random_order": "Random order",
    "lesion": "Lesion",
}
_LOOKS = (("o", "-"), ("s", (0, (5, 2))), ("^", (0, (1, 1))), ("D", (0, (5, 1, 1, 1))))


@dataclass(frozen=True, slots=True)
class Seen:
    """A slice of the gallery. images: JPEG or PNG files, the lesion first, then each method's map over it."""

    name: str
    label: str
    said: str
    probability: float
    images: Mapping[str, bytes]
    hits: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class MaskedSet:
    """One set of slices with outlined lesions.

    area: mean share of the slice that is lesion. right: {value, low, high} of the model's answers.
    dropped: slices left out, by reason. figures: of `localisation.summarise`, the baseline last. subsets: by
    name, n and the share of hits of each method. curves: of each method, the baseline and a random order, n,
    insertion, deletion, insertion_curve and deletion_curve. shown: at random. missed: the worst of the first
    method's.
    """

    n: int
    groups: int
    area: float
    right: Mapping[str, float | None]
    dropped: Mapping[str, int]
    figures: Mapping[str, Mapping[str, Any]]
    subsets: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Mapping[str, Any]]
    shown: Sequence[Seen]
    missed: Sequence[Seen]


@dataclass(frozen=True, slots=True)
class ExplanationData:
    """What the page says.

    created: ISO 8601 time. run: facts. methods: what each does, the first being the one that is told about.
    sets: by name. randomised: of methods, n, seeds and steps (correlation by name of step). checked: whether
    slices that the run learned from were left out.
    """

    title: str
    created: str
    version: str
    run: Mapping[str, Any]
    methods: Mapping[str, str]
    baseline: str
    sets: Mapping[str, MaskedSet]
    randomised: Mapping[str, Mapping[str, Any]]
    checked: bool

    @property
    def first(self) -> str:
        """The method that the page tells about."""
        return next(iter(self.methods))

    @property
    def unchanged(self) -> list[str]:
        """Methods whose map hardly changes when all weights are random: a defect."""
        return [name for name, row in self.randomised.items() if list(row["steps"].values())[-1] >= UNCHANGED]

    @property
    def figures(self) -> dict[str, Drawing]:
        """Drawings by name of file."""
        drawings = {"localisation": localisation(self.sets)}
        for number, (name, one) in enumerate(self.sets.items(), start=1):
            suffix = "" if len(self.sets) == 1 else f"-{number}"
            drawings[f"perturbation{suffix}"] = perturbation(one.curves, f"perturbation{suffix}", name)
        if self.randomised:
            drawings["randomisation"] = randomisation(self.randomised)
        return drawings

    def beats(self, name: str) -> bool:
        """Whether the first method hits more lesions of a set than the baseline, beyond chance by groups."""
        against = self.sets[name].figures[self.first]["against_baseline"]
        more = against["method_only"] > against["baseline_only"]
        return bool(more and max(against["p"], against["p_groups"]) < ALPHA)

    def to_json(self) -> dict[str, Any]:
        """What explain.json holds."""
        sets = {name: asdict(one) for name, one in self.sets.items()}
        for one in sets.values():
            del one["shown"], one["missed"]
        return {
            "title": self.title,
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "run": self.run,
            "methods": self.methods,
            "baseline": self.baseline,
            "checked": self.checked,
            "sets": sets,
            "randomised": self.randomised,
            "unchanged": self.unchanged,
        }


def write_explanation(folder: Path, data: ExplanationData) -> None:
    """Write explain.html and explain.json, each atomically."""
    page = render(
        "explain.html.j2",
        title=data.title,
        created=data.created,
        version=data.version,
        data=data,
        names=NAMES,
        figures=data.figures,
    )
    write_page(folder, "explain", data.to_json(), page)


def localisation(sets: Mapping[str, MaskedSet]) -> Drawing:
    """Share of slices whose peak lies at the lesion, and in it, with intervals, by set and method."""
    rows = sum(len(one.figures) + 1 for one in sets.values())

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        place, ticks = 0, {}
        for name, one in sets.items():
            axes.text(1, place, f"{name}, {one.n} slices", va="center", weight="bold")
            place += 1
            for number, (method, row) in enumerate(one.figures.items()):
                colour = ALARM if "against_baseline" not in row else ACCENT if number == 0 else INK
                for key, marker, up in (("pointing", "o", 0.13), ("inside", "x", -0.13)):
                    value, low, high = (
                        100 * (row[key]["value"] if row[key][end] is None else row[key][end])
                        for end in ("value", "low", "high")
                    )
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


def perturbation(curves: Mapping[str, Mapping[str, Any]], name: str, title: str) -> Drawing:
    """Probability of the class while pixels are shown, and taken away, in the order of each map."""

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        methods = [one for one in curves if one not in ("centre_of_head", "random_order")]
        for axes, key in ((left, "insertion"), (right, "deletion")):
            for method, row in curves.items():
                values = row[f"{key}_curve"]
                share = [100 * step / (len(values) - 1) for step in range(len(values))]
                if method in methods:
                    marker, dash = _LOOKS[methods.index(method) % len(_LOOKS)]
                    look: dict[str, Any] = {"color": ACCENT, "marker": marker, "ls": dash, "markevery": 4}
                else:
                    look = {"color": ALARM if method == "centre_of_head" else INK, "ls": (0, (2, 2))}
                axes.plot(share, values, lw=1.4, markersize=4, label=NAMES.get(method, method), **look)
            axes.set(xlabel=f"pixels {'shown' if key == 'insertion' else 'taken away'}, %", xlim=(0, 100))
            axes.grid(color=INK, alpha=FAINT, lw=0.5)
        left.set(ylabel=f"mean probability of the class, {title}", ylim=(0, 1.02))
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)

    return Drawing(name, (7.2, 3.8), draw)


def randomisation(randomised: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Correlation with the trained network's map while weights become random from the output down."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        steps = ["trained", *next(iter(randomised.values()))["steps"]]
        for (method, row), (marker, dash) in zip(randomised.items(), _LOOKS, strict=False):
            values = [1.0, *row["steps"].values()]
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
