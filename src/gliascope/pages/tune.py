"""A search for a better recipe: tune.html and tune.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gliascope import RESEARCH_USE
from gliascope.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.pages.output import write_page
from gliascope.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OBJECTIVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}
_LONGEST = 24  # letters of a field's name in a figure


@dataclass(frozen=True, slots=True)
class Axis:
    """A field that is varied: a range, or choices as text."""

    key: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: Sequence[str] = ()

    def place(self, value: Any) -> float:
        """Where a value lies, from 0 to 1."""
        if self.choices:
            return self.choices.index(value) / (len(self.choices) - 1)
        assert self.low is not None and self.high is not None  # noqa: S101 (a range has both)
        low, high, at = (math.log(n) if self.log else n for n in (self.low, self.high, value))
        return float((at - low) / (high - low))

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Places that are labelled, and how."""
        if self.choices:
            return [(self.place(choice), choice) for choice in self.choices]
        return [(0.0, f"{self.low:.4g}"), (1.0, f"{self.high:.4g}")]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial. value: of the objective; of a pruned one, what it came to, or None. why: what ended it."""

    number: int
    value: float | None
    pruned: bool
    epochs: int
    seconds: float
    values: Mapping[str, Any]
    why: str = ""


@dataclass(frozen=True, slots=True)
class TuneData:
    """What the page says.

    recipe: name; sources: what the slices are of. rounds: trainings a trial; slices, groups: that validated.
    trials: complete and pruned ones. best, baseline: numbers of trials, the second None where the recipe as
    it stands is none. importances: shares, empty for few trials. tuned: where the best recipe is.
    """

    recipe: str
    sources: Sequence[str]
    created: str
    version: str
    protocol: str
    rounds: int
    slices: int
    groups: int
    objective: str
    axes: Sequence[Axis]
    trials: Sequence[TrialRow]
    best: int
    baseline: int | None
    importances: Mapping[str, float] = field(default_factory=dict)
    tuned: str = ""

    @property
    def named(self) -> str:
        """The objective in words."""
        return OBJECTIVES[self.objective]

    @property
    def ranked(self) -> list[TrialRow]:
        """Complete trials, the best first, then pruned ones in order."""
        sign = -1 if self.objective == "val_accuracy" else 1
        done = [trial for trial in self.trials if not trial.pruned]
        return [
            *sorted(done, key=lambda trial: sign * (trial.value or 0.0)),
            *(trial for trial in self.trials if trial.pruned),
        ]

    def trial(self, number: int | None) -> TrialRow | None:
        """The trial with this number."""
        return next((trial for trial in self.trials if trial.number == number), None)

    @property
    def standard_error(self) -> float | None:
        """Of the best trial's accuracy, counted over groups, for a binomial share; None for a loss."""
        best = self.ranked[0].value
        if self.objective != "val_accuracy" or best is None:
            return None
        return math.sqrt(best * (1 - best) / self.groups)

    def to_json(self) -> dict[str, Any]:
        """What tune.json holds."""
        facts = asdict(self)
        return {"notice": RESEARCH_USE, "gliascope": facts.pop("version")} | facts


def write_tune(folder: Path, data: TuneData) -> None:
    """Write tune.html and tune.json, each atomically."""
    figures = {"history": history(data), "parallel": parallel_coordinates(data)}
    if data.importances:
        figures["importances"] = importances(data.importances)
    page = render(
        "tune.html.j2",
        title=f"{data.recipe} on {', '.join(data.sources)}",
        created=data.created,
        version=data.version,
        data=data,
        figures=figures,
    )
    write_page(folder, "tune", data.to_json(), page)


def history(data: TuneData) -> Drawing:
    """The objective by trial, and the best so far; pruned trials are crosses, where they had come to."""

    done, cut = (
        [
            (trial.number, trial.value)
            for trial in data.trials
            if trial.pruned == pruned and trial.value is not None
        ]
        for pruned in (False, True)
    )

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.add_subplot()
        for points, marker, colour, label in ((done, "o", INK, "complete"), (cut, "x", ALARM, "pruned")):
            if points:
                numbers, values = np.array(points).T
                axes.plot(numbers, values, marker, color=colour, markersize=5, alpha=0.7, label=label)
        numbers, values = np.array(done).T
        best = np.maximum if data.objective == "val_accuracy" else np.minimum
        so_far = best.accumulate(values)
        axes.step(numbers, so_far, where="post", color=ACCENT, lw=1.6, label="best so far")
        axes.set(xlabel="trial", ylabel=data.named)
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.legend()

    return Drawing("history", (5.4, 3.4), draw)


def importances(shares: Mapping[str, float]) -> Drawing:
    """Bars, the most important field on top."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        keys = sorted(shares, key=lambda key: shares[key])
        axes.barh(list(map(_short, keys)), [100 * shares[key] for key in keys], color=ACCENT, alpha=0.75)
        axes.set(xlabel="importance, %")
        axes.tick_params(axis="y", length=0)

    return Drawing("importances", (5.4, 0.9 + 0.36 * len(shares)), draw)


def parallel_coordinates(data: TuneData) -> Drawing:
    """A line a complete trial through its fields, the objective last; the best tenth stands out."""
    done = [trial for trial in data.ranked if not trial.pruned and trial.value is not None]
    values = [float(trial.value or 0) for trial in done]
    spread = (max(values) - min(values)) or 1.0
    last = Axis("", low=min(values), high=min(values) + spread)

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        columns = range(len(data.axes) + 1)
        best = max(1, len(done) // 10)
        for rank, trial in reversed(list(enumerate(done))):
            places = [axis.place(trial.values[axis.key]) for axis in data.axes] + [last.place(trial.value)]
            colour, width, alpha = (ACCENT, 2.0, 0.9) if rank < best else (INK, 0.8, 0.3)
            axes.plot(columns, places, color=colour, lw=width, alpha=alpha)
        for column, axis in enumerate([*data.axes, last]):
            _scale(axes, column, axis)
        axes.set_xticks(columns, [*(_short(axis.key) for axis in data.axes), data.named])
        axes.tick_params(axis="x", length=0, labelrotation=20 if len(data.axes) > 2 else 0)
        axes.set(yticks=[], xlim=(-0.3, len(data.axes) + 0.4), ylim=(-0.08, 1.08))
        axes.spines[:].set_visible(False)

    return Drawing("parallel", (max(5.4, 1.5 * len(data.axes)), 3.8), draw)


def _scale(axes: "Axes", column: int, axis: Axis) -> None:
    axes.axvline(column, color=INK, alpha=0.5, lw=0.8)
    for place, text in axis.marks:
        beside = (4, 5 if place else -11)  # where most lines are not
        axes.annotate(_short(text), (column, place), xytext=beside, textcoords="offset points", fontsize=8)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"
