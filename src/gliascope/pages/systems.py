"""Published systems, trained again: systems.html, systems.json and systems.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliascope import RESEARCH_USE
from gliascope.files import write_text
from gliascope.pages.curves import leak_sentence
from gliascope.pages.formats import decimal, percent, span
from gliascope.pages.output import write_page
from gliascope.pages.templates import render


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one recipe: a report, or the reason why there is none.

    place: folder of the run. sources: their names. published: {what, of, value, more, note, ours} each, ours
    being {value, low, high}. report: report.json. quickly: slices of each class in a trial, else None.
    """

    recipe: str
    place: Path
    sources: Sequence[str] = ()
    published: Sequence[Mapping[str, Any]] = ()
    report: Mapping[str, Any] | None = None
    quickly: int | None = None
    reason: str = ""

    @property
    def rows(self) -> list[dict[str, str]]:
        """Texts of the table: what, theirs, ours, interval (of ours, or empty), note."""
        rows = [
            _row(number["what"], number["ours"], number["of"], number["note"])
            | {"theirs": ("> " if number["more"] else "") + _text(number["value"], number["of"])}
            for number in self.published
        ]
        for name, result in (self.report or {"protocols": {}})["protocols"].items():
            what, remark = f"test accuracy, {name}", "leaky" if result["leaky"] else ""
            if what not in {row["what"] for row in rows}:
                rows.append(_row(what, result["accuracy"], "accuracy", remark))
        return rows

    @property
    def leak(self) -> str:
        """What choosing the epoch on the test set gives, in words; empty where the test was not watched."""
        found = (self.report or {}).get("leak")
        return leak_sentence(found) if found else ""


@dataclass(frozen=True, slots=True)
class SystemOutcome:
    """One system and what came of its recipes."""

    title: str
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class SystemsData:
    """All that the page says. created: ISO 8601 time. comparisons: folders beside it that `compare` wrote."""

    created: str
    version: str
    systems: Sequence[SystemOutcome]
    comparisons: Sequence[str] = ()

    @property
    def all(self) -> list[Outcome]:
        """Outcomes of all systems."""
        return [outcome for system in self.systems for outcome in system.outcomes]

    @property
    def done(self) -> int:
        """How many recipes have a report."""
        return sum(outcome.report is not None for outcome in self.all)

    @property
    def trial(self) -> bool:
        """Whether any was trained on a sample only."""
        return any(outcome.quickly for outcome in self.all)

    def to_json(self) -> dict[str, Any]:
        """What systems.json holds."""
        return {
            "notice": RESEARCH_USE,
            "created": self.created,
            "gliascope": self.version,
            "systems": [
                {"title": system.title, "recipes": [_json(outcome) for outcome in system.outcomes]}
                for system in self.systems
            ],
            "comparisons": self.comparisons,
        }


def write_systems(folder: Path, data: SystemsData) -> None:
    """Write systems.html, systems.json and systems.md, each atomically."""
    facts = {"created": data.created, "version": data.version, "data": data}
    write_text(folder / "systems.md", render("systems.md.j2", **facts))
    write_page(folder, "systems", data.to_json(), render("systems.html.j2", title="Five systems", **facts))


def _json(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"recipe": outcome.recipe, "folder": outcome.place.name}
    if outcome.report is None:
        return facts | {"set_aside": outcome.reason}
    tested = {
        name: {key: result[key] for key in ("n", "leaky", "accuracy", "balanced_accuracy", "macro_auroc")}
        for name, result in outcome.report["protocols"].items()
    }
    return facts | {
        "sources": outcome.sources,
        "quickly": outcome.quickly,
        "published": outcome.published,
        "protocols": tested,
        "leak": outcome.report["leak"],
        "seconds": outcome.report["model"]["seconds"],
        "device": outcome.report["run"]["environment"]["device"],
    }


def _row(what: str, ours: Mapping[str, float | None], of: str, note: str) -> dict[str, str]:
    form = "decimal" if of == "macro_auroc" else "percent"
    value, interval = ours["value"], span(ours, form)
    return {"what": what, "theirs": "", "ours": _text(value, of), "interval": interval, "note": note}


def _text(value: float | None, of: str) -> str:
    return decimal(value) if of == "macro_auroc" else percent(value)
