"""Numbers, times and pictures as the pages write them."""

import base64
import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

UNDEFINED = "–"
MAX_CLASS_COLUMNS = 8
"""Classes that fit as columns; more are rows, or numbers."""
_SPACE = "\N{NARROW NO-BREAK SPACE}"
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class HasInterval(Protocol):
    """Whatever has two ends."""

    @property
    def low(self) -> float | None:
        """Lower end."""

    @property
    def high(self) -> float | None:
        """Upper end."""


def count(value: int | None) -> str:
    """1311 as "1,311"."""
    return UNDEFINED if value is None else f"{value:,}"


def plural(noun: str, number: int) -> str:
    """The noun as it stands after a number: 1 slice, 2 slices."""
    return noun if number == 1 else f"{noun}s"


def shorten(name: str, width: int) -> str:
    """A name of at most so many columns, its middle left out: "anaplastic oli…oma".

    Letters that are written wide, as Chinese ones are, take two columns.
    """
    if _columns(name) <= width:
        return name
    head, tail = "", ""
    # Names that begin alike, and names that end alike, stay different.
    while _columns(head + name[len(head)]) + _columns(tail) < width:
        head += name[len(head)]
        if _columns(head) + _columns(name[-len(tail) - 1] + tail) < width:
            tail = name[-len(tail) - 1] + tail
    return f"{head}…{tail}"


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def percent(value: float | None, unit: bool = True) -> str:
    """0.993 as "99.3 %". What is not perfect never rounds to 100 %, nor what is not nothing to 0 %."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(100 * value, 100, 1) + (f"{_SPACE}%" if unit else "")


def points(value: float | None) -> str:
    """A difference of two shares in percentage points: -0.0042 as "−0.4"."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float | None, digits: int = 4) -> str:
    """0.99871 as "0.9987"; like `percent`, it keeps 1 and 0 for the exact values."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(value, 1, digits)


def span(number: HasInterval | Mapping[str, float | None], form: str = "percent") -> str:
    """The interval of a number, low end rounded down: "98.7–99.7"; empty where there is none."""
    # The facts of audit.json are no typed values yet.
    if isinstance(number, Mapping):
        low, high = number["low"], number["high"]
    else:
        low, high = number.low, number.high
    if low is None or high is None:
        return ""
    scale, digits = (100, 1) if form == "percent" else (1, 4)
    # The small shift keeps a bound such as 0.987, stored a little below it, from being shown as 98.6.
    low = math.floor(low * scale * 10**digits + 1e-9) / 10**digits
    return f"{low:.{digits}f}–{high * scale:.{digits}f}"


def duration(seconds: float) -> str:
    """90 as "90 s", 852.3 as "14.2 min", 10800 as "3.0 h"."""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200)):
        if seconds < limit:
            return f"{seconds / length:.{0 if unit == 's' else 1}f}{_SPACE}{unit}"
    return f"{seconds / 3600:.1f}{_SPACE}h"


def p_value(value: float) -> str:
    """0.0312 as "0.031"; what rounds to nothing as "<0.001"."""
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def day(iso: str) -> str:
    """An ISO 8601 time as "3 November 2026, 14:05 UTC"; any other text unchanged."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".rstrip()


def fact(value: Any) -> str:
    """A fact of a run in words: yes or no, "3,376,164", six digits of 0.900450, lists with commas between."""
    if value is None or isinstance(value, bool):
        return {None: UNDEFINED, True: "yes", False: "no"}[value]
    if hasattr(value, "item"):  # a NumPy number
        value = value.item()
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(fact(entry) for entry in value)
    return str(value)


def cell(text: Any) -> str:
    """Any text on one line of Markdown: nothing in it is HTML, or ends a column of a table."""
    line = " ".join(str(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


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
