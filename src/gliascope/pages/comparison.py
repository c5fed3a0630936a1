"""Runs side by side: compare.html, compare.json, and accuracy against latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope import RESEARCH_USE
from gliascope.pages.drawing import ACCENT, FAINT, INK, Drawing
from gliascope.pages.output import write_page
from gliascope.pages.templates import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = 0.05
MEASURES = ("accuracy", "balanced_accuracy", "macro_auroc")
# Where the numbers stand, in points from their dots, so that those of neighbours do not meet.
_OFFSETS = ((6, 5), (6, -13), (-13, 5), (-13, -13))


@dataclass(frozen=True, slots=True)
class ComparisonData:
    """What the comparison says.

    title: what the first run was trained on. created: ISO 8601 time. version: of gliascope.
    protocol, description, leaky: how the slices were chosen. rounds: more than 1: several models are tested.
    rows: the most accurate first, of `comparison.compare_scores`, with place, recipe, seconds (of one
    training), device, parameters, bytes (of the model), latency_ms {value, low, high}: median and quartiles,
    leak (see `curves.leak`).
    notes: what these test slices cannot tell, in sentences (`untested.find_untested`).
    ensembles: runs that join others of them: name, members (those compared) of how many, gain {value, low,
    high} in accuracy over their mean, and how many times their mean latency, bytes and seconds are.
    """

    title: str
    created: str
    version: str
    protocol: str
    description: str
    leaky: bool
    rounds: int
    rows: Sequence[dict[str, Any]]
    ensembles: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()

    @property
    def figure(self) -> Drawing:
        """Accuracy with intervals against latency; numbers are those of the table's rows."""
        return accuracy_against_latency(self.rows)

    @property
    def equals(self) -> list[str]:
        """Names of the runs that no test tells from the best, after Holm's correction."""
        others = [row for row in self.rows if row["against_best"]]
        return [
            row["name"]
            for row in others
            if max(row["against_best"]["p_holm"], row["against_best"]["p_groups_holm"]) >= ALPHA
        ]

    def to_json(self) -> dict[str, Any]:
        """What compare.json holds."""
        result = self.rows[0]["result"]
        return {
            "title": self.title,
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "protocol": self.protocol,
            "description": self.description,
            "leaky": self.leaky,
            "rounds": self.rounds,
            "notes": self.notes,
            **{key: result[key] for key in ("n", "groups", "classes")},
            "best": self.rows[0]["name"],
            "equal_to_best": self.equals,
            "runs": [_flat(row) for row in self.rows],
            "ensembles": self.ensembles,
        }


def write_comparison(folder: Path, data: ComparisonData) -> None:
    """Write compare.html and compare.json, each atomically."""
    page = render(
        "compare.html.j2",
        title=f"{len(data.rows)} runs on {data.title}",
        created=data.created,
        version=data.version,
        data=data,
        figure=data.figure,
        several_groups=data.rows[0]["result"]["groups"] != data.rows[0]["result"]["n"],
    )
    write_page(folder, "compare", data.to_json(), page)


def accuracy_against_latency(rows: Sequence[dict[str, Any]]) -> Drawing:
    """Points numbered as the rows, the first filled; whiskers are 95 % intervals."""

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import LogLocator, NullLocator

        axes = figure.add_subplot()
        by_latency = sorted(range(len(rows)), key=lambda number: rows[number]["latency_ms"]["value"])
        for place, number in enumerate(by_latency):
            latency, accuracy = rows[number]["latency_ms"]["value"], rows[number]["result"]["accuracy"]
            value, low, high = (
                100 * (accuracy[key] or accuracy["value"]) for key in ("value", "low", "high")
            )
            colour = ACCENT if number == 0 else INK
            axes.errorbar(
                [latency], [value], [[value - low], [high - value]], fmt="o" if number == 0 else "D",
                color=colour, markersize=6, lw=1.2, capsize=3, mfc=colour if number == 0 else "none",
                label=f"{number + 1}  {rows[number]['name']}",
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

    return Drawing("compare", (5.4, 3.6 + 0.23 * len(rows)), draw)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is the same for all, or only in the run's own report."""
    kept = {key: value for key, value in row.items() if key != "result"}
    return kept | {key: row["result"][key] for key in MEASURES}
