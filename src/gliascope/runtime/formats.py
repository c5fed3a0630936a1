"""Format numbers, times and images as text for pages and the command line."""

import base64
import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

UNDEFINED = "–"
MAX_CLASS_COLUMNS = 8
"""Greatest number of classes that a table shows as columns."""
_SPACE = "\N{NARROW NO-BREAK SPACE}"
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class HasInterval(Protocol):
    """A value with an interval."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""


def count(value: int | None) -> str:
    """Format a count: 1311 as "1,311"."""
    return UNDEFINED if value is None else f"{value:,}"


def plural(noun: str, number: int) -> str:
    """Return the noun in the form that follows `number`: 1 slice, 2 slices."""
    return noun if number == 1 else f"{noun}s"


def shorten(name: str, width: int) -> str:
    """Shorten a name to `width` columns by leaving out its middle: "anaplastic oli…oma".

    Wide characters, such as Chinese ones, take two columns.
    """
    if _columns(name) <= width:
        return name
    head, tail = "", ""
    # Both ends are kept, so names with the same beginning or the same end stay different.
    while _columns(head + name[len(head)]) + _columns(tail) < width:
        head += name[len(head)]
        if _columns(head) + _columns(name[-len(tail) - 1] + tail) < width:
            tail = name[-len(tail) - 1] + tail
    return f"{head}…{tail}"


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def percent(value: float | None, unit: bool = True) -> str:
    """Format a share: 0.993 as "99.3 %". Only 1 is shown as 100 % and only 0 as 0 %.

    Examples
    --------
    >>> percent(0.99999, unit=False)
    '>99.9'
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(100 * value, 100, 1) + (f"{_SPACE}%" if unit else "")


def points(value: float | None) -> str:
    """Format a difference of two shares in percentage points: -0.0042 as "−0.4"."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float | None, digits: int = 4) -> str:
    """Format a number: 0.99871 as "0.9987". Only exact values are shown as 1 and 0."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return _rounded(value, 1, digits)


def span(number: HasInterval | Mapping[str, float | None], form: str = "percent") -> str:
    """Format an interval, with its low end rounded down: "98.7–99.7".

    Parameters
    ----------
    number
        A value with ends `low` and `high`. The result is empty if either is None.
    form
        "percent" for shares as percentages with one decimal, else the numbers with four decimals.
    """
    # Values of audit.json are mappings.
    if isinstance(number, Mapping):
        low, high = number["low"], number["high"]
    else:
        low, high = number.low, number.high
    if low is None or high is None:
        return ""
    scale, digits = (100, 1) if form == "percent" else (1, 4)
    # 0.987 is stored as slightly less; the small addition keeps it from being shown as 98.6.
    low = math.floor(low * scale * 10**digits + 1e-9) / 10**digits
    return f"{low:.{digits}f}–{high * scale:.{digits}f}"


def duration(seconds: float) -> str:
    """Format seconds: 90 as "90 s", 852.3 as "14.2 min", 10800 as "3.0 h"."""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200)):
        if seconds < limit:
            return f"{seconds / length:.{0 if unit == 's' else 1}f}{_SPACE}{unit}"
    return f"{seconds / 3600:.1f}{_SPACE}h"


def p_value(value: float) -> str:
    """Format a p value: 0.0312 as "0.031", and anything below 0.0005 as "<0.001"."""
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def day(iso: str) -> str:
    """Format an ISO 8601 time as "3 November 2026, 14:05 UTC"; return any other text unchanged."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".rstrip()


def fact(value: Any) -> str:
    """Format a setting or figure of a run: yes or no, 3,376,164, six digits of a float, lists with commas."""
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
    """Escape any text for one cell of a Markdown table."""
    line = " ".join(str(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG file as a `data:` URL. Raises ValueError for any other content."""
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
