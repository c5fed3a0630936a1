"""A model on disturbed slices: robustness.html, robustness.json, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliascope import RESEARCH_USE
from gliascope.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.pages.output import write_page
from gliascope.pages.pictures import encode
from gliascope.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

ACROSS = 3  # figures side by side on a sheet


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The slice that is shown, uint8 (height, width[, 3]), and what the model says of it.

    verdict: None without a Calibrator.
    """

    pixels: NDArray[np.uint8]
    label: str
    said: str
    probability: float
    verdict: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Grade:
    """A strength, as it is `told`, and the numbers of all slices under it: of `evaluate_disturbed`."""

    strength: float
    told: str
    numbers: Mapping[str, Any]
    shown: Answer

    def shares(self, key: str) -> tuple[float, float, float]:
        """Value, low and high of a number in %; NaN where undefined, the value where there is no interval."""
        accepted = (self.numbers["verdicts"] or {}).get("accepted", {})
        found = accepted.get(key.removeprefix("accepted_")) if "accepted_" in key else self.numbers[key]
        value = float("nan") if found is None or found["value"] is None else found["value"]
        low, high = (value if found is None or found[end] is None else found[end] for end in ("low", "high"))
        return 100 * value, 100 * low, 100 * high


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """One disturbance. imitates: in a sentence or two. grades: as the slices are, then ever stronger."""

    title: str
    imitates: str
    grades: Sequence[Grade]

    @property
    def worst(self) -> Grade:
        """Where most accuracy is lost; of equals, the strongest."""
        return max(reversed(self.grades[1:]), key=lambda grade: float(grade.numbers["loss"]["value"]))

    @property
    def costs(self) -> bool:
        """Whether any strength costs accuracy, beyond chance."""
        return any(_certain(grade.numbers["loss"]) for grade in self.grades)

    @property
    def missed(self) -> Grade | None:
        """Of the strengths at which more wrong answers are accepted than of slices as they are, the worst."""
        certain = [grade for grade in self.grades if _certain(grade.numbers["unnoticed_more"])]
        return max(certain, key=lambda grade: float(grade.numbers["unnoticed"]["value"]), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class RobustnessData:
    """What the page says.

    created: ISO 8601 time. run: facts. slices, groups: that were disturbed, of `tested` in the test part.
    rejects: slices set aside, by reason. judged: whether the model says when not to go by it. tests: by name.
    """

    title: str
    created: str
    version: str
    run: Mapping[str, Any]
    slices: int
    groups: int
    tested: int
    rejects: Mapping[str, int]
    judged: bool
    tests: Mapping[str, Disturbed]

    @property
    def clean(self) -> Grade:
        """The slices as they are."""
        return next(iter(self.tests.values())).grades[0]

    @property
    def worst(self) -> Disturbed:
        """The disturbance that costs most, at its worst strength."""
        return max(self.tests.values(), key=lambda one: float(one.worst.numbers["loss"]["value"]))

    @property
    def harmless(self) -> list[Disturbed]:
        """Disturbances of which no strength costs accuracy beyond chance."""
        return [one for one in self.tests.values() if not one.costs]

    @property
    def noticed(self) -> list[Disturbed]:
        """Those that cost accuracy, without more wrong answers being accepted."""
        return [one for one in self.tests.values() if one.costs and one.missed is None]

    @property
    def missed(self) -> list[Disturbed]:
        """Those under which more wrong answers are accepted."""
        return [one for one in self.tests.values() if one.missed]

    @property
    def figures(self) -> dict[str, Drawing]:
        """Drawings by name of file."""
        return {"curves": sheet(self), "disturbances": strips(self.tests)}

    def to_json(self) -> dict[str, Any]:
        """What robustness.json holds."""
        return {
            "title": self.title,
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "run": self.run,
            "slices": self.slices,
            "groups": self.groups,
            "tested": self.tested,
            "rejects": self.rejects,
            "judged": self.judged,
            "clean": self.clean.numbers,
            "disturbances": {
                name: {
                    "title": one.title,
                    "imitates": one.imitates,
                    "worst": one.worst.strength,
                    "strengths": [{"strength": grade.strength, **grade.numbers} for grade in one.grades[1:]],
                }
                for name, one in self.tests.items()
            },
        }


def write_robustness(folder: Path, data: RobustnessData) -> None:
    """Write robustness.html and robustness.json, each atomically."""
    page = render(
        "robustness.html.j2",
        title=data.title,
        created=data.created,
        version=data.version,
        data=data,
        curves={name: curve(name, one, _highest_ece(data)) for name, one in data.tests.items()},
        picture=encode,
    )
    write_page(folder, "robustness", data.to_json(), page)


def curve(name: str, one: Disturbed, top: float) -> Drawing:
    """Accuracy, what is accepted and how well, by strength of a disturbance; below, ECE up to `top`."""

    def draw(figure: "Figure") -> None:
        _panels(figure, one, top)

    return Drawing(f"curve-{name}", (4.4, 3.6), draw)


def sheet(data: RobustnessData) -> Drawing:
    """The curves of all disturbances."""
    rows = -(-len(data.tests) // ACROSS)

    def draw(figure: "Figure") -> None:
        parts = figure.subfigures(rows, ACROSS, squeeze=False).ravel()
        for part, one in zip(parts, data.tests.values(), strict=False):
            _panels(part, one, _highest_ece(data)).set_title(one.title, loc="left", weight="bold")
        first = parts[0].axes[0]
        figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)

    return Drawing("curves", (4.4 * ACROSS, 3.8 * rows + 0.4), draw)


def strips(tests: Mapping[str, Disturbed]) -> Drawing:
    """One slice under every strength of every disturbance, a row each."""
    across = max(len(one.grades) for one in tests.values())

    def draw(figure: "Figure") -> None:
        grid = figure.subplots(len(tests), across, squeeze=False)
        for row, one in zip(grid, tests.values(), strict=True):
            for axes in row:
                axes.set_axis_off()
            for axes, grade in zip(row, one.grades, strict=False):
                axes.imshow(grade.shown.pixels, cmap="gray", vmin=0, vmax=255)
                axes.set_title(grade.told, fontsize=9)
            row[0].set_title(one.title, fontsize=9, weight="bold")

    return Drawing("disturbances", (1.5 * across, 1.75 * len(tests)), draw)


def _panels(figure: "Figure | SubFigure", one: Disturbed, top: float) -> "Axes":
    upper: Axes
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places = list(range(len(one.grades)))
    looks: list[tuple[str, str, dict[str, Any]]] = [
        ("accuracy", "accuracy", {"color": ACCENT, "marker": "o"})
    ]
    if one.grades[0].numbers["verdicts"]:
        looks += [
            ("accepted_accuracy", "of the accepted", {"color": ALARM, "marker": "s", "ls": (0, (5, 2))}),
            ("accepted_share", "accepted", {"color": INK, "marker": "^", "ls": (0, (1, 1.5))}),
        ]
    for key, label, look in looks:
        values, low, high = zip(*(grade.shares(key) for grade in one.grades), strict=True)
        upper.plot(places, values, lw=1.6, markersize=4.5, label=label, **look)
        if key == "accuracy":
            upper.fill_between(places, low, high, color=ACCENT, alpha=FAINT, lw=0)
    upper.set(ylabel="% of slices", ylim=(-2, 102))
    values, low, high = zip(*(grade.shares("ece") for grade in one.grades), strict=True)
    lower.plot(places, values, color=ACCENT, marker="o", lw=1.6, markersize=3.5)
    lower.fill_between(places, low, high, color=ACCENT, alpha=FAINT, lw=0)
    lower.set(ylabel="ECE, %", ylim=(0, top))
    lower.set_xticks(places, [grade.told for grade in one.grades], fontsize=9)
    for axes in (upper, lower):
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
    return upper


def _highest_ece(data: RobustnessData) -> float:
    return max(grade.shares("ece")[2] for one in data.tests.values() for grade in one.grades) * 1.05 + 0.1


def _certain(difference: Mapping[str, float | None] | None) -> bool:
    """Whether a {value, low, high} is above 0 by more than chance explains."""
    return difference is not None and difference["low"] is not None and difference["low"] > 0
