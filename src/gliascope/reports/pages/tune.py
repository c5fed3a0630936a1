"""The page of a search for a better recipe: tune.html and tune.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gliascope.reports.pages.drawing import ACCENT, ALARM, FAINT, INK, Drawing
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.templates import render
from gliascope.reports.tuning import Axis, Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OBJECTIVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}
_LONGEST = 24  # letters of a field's name in a figure


def write_tune(folder: Path, data: Tuning) -> None:
    """Write tune.html and tune.json, each atomically."""
    figures = {"history": history(data), "parallel": parallel_coordinates(data)}
    if data.importances:
        figures["importances"] = importances(data.importances)
    page = render(
        "tune.html.j2",
        title=f"{data.recipe} on {', '.join(data.sources)}",
        created=data.created,
        version=data.gliascope,
        data=data,
        objective=OBJECTIVES[data.objective],
        figures=figures,
    )
    write_document(folder, data, page)


def history(data: Tuning) -> Drawing:
    """Draw the objective by trial, and the best so far; crosses are pruned trials, at their last value."""

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
        axes.set(xlabel="trial", ylabel=OBJECTIVES[data.objective])
        axes.grid(axis="y", color=INK, alpha=FAINT, lw=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.legend()

    return Drawing("history", (5.4, 3.4), draw)


def importances(shares: Mapping[str, float]) -> Drawing:
    """Draw importances as bars, the most important field on top."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        keys = sorted(shares, key=lambda key: shares[key])
        axes.barh(list(map(_short, keys)), [100 * shares[key] for key in keys], color=ACCENT, alpha=0.75)
        axes.set(xlabel="importance, %")
        axes.tick_params(axis="y", length=0)

    return Drawing("importances", (5.4, 0.9 + 0.36 * len(shares)), draw)


def parallel_coordinates(data: Tuning) -> Drawing:
    """Draw complete trials as lines through their fields, the objective last; the best tenth stands out."""
    done = [trial for trial in data.ranked if not trial.pruned and trial.value is not None]
    values = [float(trial.value or 0) for trial in done]
    spread = (max(values) - min(values)) or 1.0
    last = Axis(key="", low=min(values), high=min(values) + spread)

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        columns = range(len(data.axes) + 1)
        best = max(1, len(done) // 10)
        for rank, trial in reversed(list(enumerate(done))):
            places = [axis.position(trial.values[axis.key]) for axis in data.axes]
            places.append(last.position(trial.value or 0.0))
            colour, width, alpha = (ACCENT, 2.0, 0.9) if rank < best else (INK, 0.8, 0.3)
            axes.plot(columns, places, color=colour, lw=width, alpha=alpha)
        for column, axis in enumerate([*data.axes, last]):
            _scale(axes, column, axis)
        axes.set_xticks(columns, [*(_short(axis.key) for axis in data.axes), OBJECTIVES[data.objective]])
        axes.tick_params(axis="x", length=0, labelrotation=20 if len(data.axes) > 2 else 0)
        axes.set(yticks=[], xlim=(-0.3, len(data.axes) + 0.4), ylim=(-0.08, 1.08))
        axes.spines[:].set_visible(False)

    return Drawing("parallel", (max(5.4, 1.5 * len(data.axes)), 3.8), draw)


def _scale(axes: "Axes", column: int, axis: Axis) -> None:
    axes.axvline(column, color=INK, alpha=0.5, lw=0.8)
    for place, text in axis.ticks:
        beside = (4, 5 if place else -11)  # where most lines are not
        axes.annotate(_short(text), (column, place), xytext=beside, textcoords="offset points", fontsize=8)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"
