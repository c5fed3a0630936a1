"""The page of published systems that were trained again: systems.html, systems.json and systems.md."""

from pathlib import Path

from gliascope.evaluation.estimate import Estimate
from gliascope.reports.pages.curves import leak_sentence
from gliascope.reports.pages.output import write_document
from gliascope.reports.pages.templates import render
from gliascope.reports.reproduction import Reproduction, TrainedRecipe
from gliascope.runtime.files import write_text
from gliascope.runtime.formats import decimal, percent, span


def write_systems(folder: Path, data: Reproduction) -> None:
    """Write systems.html, systems.json and systems.md, each atomically."""
    context = {
        "created": data.created,
        "version": data.gliascope,
        "data": data,
        "rows": {recipe.recipe: _rows(recipe) for recipe in data.trained},
        "leaks": {recipe.recipe: leak_sentence(recipe.leak) for recipe in data.trained if recipe.leak},
    }
    write_text(folder / "systems.md", render("systems.md.j2", **context))
    write_document(folder, data, render("systems.html.j2", title="Five systems", **context))


def _rows(recipe: TrainedRecipe) -> list[dict[str, str]]:
    """Rows of the table as text: what, theirs, ours, interval (of ours, or empty), note."""
    rows = [
        _row(number.name, number.ours, number.quantity, number.note)
        | {"theirs": ("> " if number.lower_bound else "") + _text(number.value, number.quantity)}
        for number in recipe.published
    ]
    for name, result in recipe.protocols.items():
        what, remark = f"test accuracy, {name}", "leaky" if result.leaky else ""
        if what not in {row["what"] for row in rows}:
            rows.append(_row(what, result.accuracy, "accuracy", remark))
    return rows


def _row(what: str, ours: Estimate, of: str, note: str) -> dict[str, str]:
    interval = span(ours, "decimal" if of == "macro_auroc" else "percent")
    return {"what": what, "theirs": "", "ours": _text(ours.value, of), "interval": interval, "note": note}


def _text(value: float | None, of: str) -> str:
    return decimal(value) if of == "macro_auroc" else percent(value)
