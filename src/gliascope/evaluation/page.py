"""report.html from a ReportData: one file, no scripts, nothing fetched."""

import base64
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gliascope import RESEARCH_USE
from gliascope.evaluation import plots

if TYPE_CHECKING:
    from gliascope.evaluation.report import ReportData

UNDEFINED = "–"
_SPACE = "\N{NARROW NO-BREAK SPACE}"
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def render_page(report: "ReportData") -> str:
    """The page as HTML. Every text of `report` is escaped. Raises ValueError on a non-PNG, non-JPEG image."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("gliascope.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "data_uri": data_uri,
        "day": day,
        "decimal": decimal,
        "fact": fact,
        "percent": percent,
        "span": span,
    }
    environment.tests["map"] = lambda value: isinstance(value, Mapping)
    name, headline = next(iter(report.protocols.items()))
    figures = {"reliability": Markup(plots.reliability_diagram(headline.reliability))}  # noqa: S704
    if report.curves:
        for quantity in ("loss", "accuracy"):
            svg = plots.training_curves(report.curves, quantity, report.chosen_epoch)
            figures[quantity] = Markup(svg)  # noqa: S704
    return environment.get_template("report.html.j2").render(
        report=report, notice=RESEARCH_USE, name=name, headline=headline, figures=figures
    )


def count(value: int | None) -> str:
    """1311 as "1,311"."""
    return UNDEFINED if value is None else f"{value:,}"


def percent(value: float | None, unit: bool = True) -> str:
    """0.993 as "99.3 %". What is not perfect never rounds to 100 %, nor what is not nothing to 0 %."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(100 * value, 100, 1) + (f"{_SPACE}%" if unit else "")


def decimal(value: float | None, digits: int = 4) -> str:
    """0.99871 as "0.9987"; like `percent`, it keeps 1 and 0 for the exact values."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(value, 1, digits)


def span(number: Mapping[str, float | None], form: str = "percent") -> str:
    """The interval of {value, low, high}, low end rounded down: "98.7–99.7"; empty where there is none."""
    low, high = number["low"], number["high"]
    if low is None or high is None:
        return ""
    scale, digits = (100, 1) if form == "percent" else (1, 4)
    # The small shift keeps a bound such as 0.987, stored a little below it, from being shown as 98.6.
    low = math.floor(low * scale * 10**digits + 1e-9) / 10**digits
    return f"{low:.{digits}f}–{high * scale:.{digits}f}"


def day(iso: str) -> str:
    """An ISO 8601 time as "3 November 2026, 14:05 UTC"; any other text unchanged."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".rstrip()


def fact(value: Any) -> str:
    """A fact of a run in words: yes or no, "3,376,164", lists with commas between."""
    if value is None or isinstance(value, bool):
        return {None: UNDEFINED, True: "yes", False: "no"}[value]
    if hasattr(value, "item"):  # a NumPy number
        value = value.item()
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(fact(entry) for entry in value)
    return str(value)


def data_uri(image: bytes) -> str:
    """A PNG or JPEG file as a data: address. Raises ValueError on anything else."""
    for signature, media in _SIGNATURES.items():
        if image.startswith(signature):
            return f"data:{media};base64,{base64.b64encode(image).decode('ascii')}"
    raise ValueError(f"expected an image to be PNG or JPEG but got bytes that start with {image[:8]!r}")


def _rounded(value: float, perfect: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    for bound, sign, step in ((0.0, "<", 1), (perfect, ">", -1)):
        if float(text) == bound and abs(value - bound) > 1e-12 * perfect:
            return f"{sign}{bound + step * 10.0**-digits:.{digits}f}"
    return text
