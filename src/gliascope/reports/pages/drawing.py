"""Figures as SVG in the page's colours, or as a PNG file of their own. Equal input gives equal bytes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from gliascope.reports.pages.fonts import DEFAULT_FONT, collect_missing_letters, families_for, note_missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Places in Matplotlib's colour cycle: what is drawn in them gets the colours of the medium.
INK, ACCENT, ALARM, PAPER = "C0", "C1", "C2", "C3"
FAINT = 0.18
DPI = 144

# Nobody's colours, replaced by those of the page, so that one figure serves light and dark.
_PAGE = {
    "#010203": "currentColor",
    "#040506": "var(--accent)",
    "#070809": "var(--alarm)",
    "#0a0b0c": "var(--paper)",
}
# A PNG has the page's light colours and paper, wherever it is shown.
_PAPER = "#fbfaf8"
_PICTURE = ("#1d2125", "#0b6b73", "#a8321f", _PAPER)

_STYLE: dict[Any, Any] = {
    "axes.facecolor": "none",
    "axes.labelsize": 10,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
}
_INKED = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that is drawn on demand.

    Attributes
    ----------
    name
        Prefix that makes ids unique in a page.
    size
        Width and height in inches.
    draw
        Draws into an empty figure.
    """

    name: str
    size: tuple[float, float]
    draw: "Callable[[Figure], None]"

    def __html__(self) -> str:
        """Return SVG to embed in a page (Jinja calls this): no prologue, no fixed size, ids of its own."""
        text = StringIO()
        # The page's reader has fonts of its own.
        with collect_missing_letters(), self._drawn(tuple(_PAGE)) as figure:
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        svg = text.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r"font-family: [^;]*; ?", "", svg)
        svg = re.sub(r'( id="|href="#|url\(#)', rf"\1{self.name}-", svg)
        for drawn, shown in _PAGE.items():
            svg = svg.replace(drawn, shown)
        return svg

    def png(self) -> bytes:
        """Return a PNG file; fonts of this machine supply characters that Matplotlib's own font lacks."""
        content, missing = self._png([DEFAULT_FONT])
        if missing and len(families := families_for(missing)) > 1:
            content, missing = self._png(families)
        if missing:
            note_missing(frozenset(missing))
        return content

    def _png(self, families: list[str]) -> tuple[bytes, set[int]]:
        content = BytesIO()
        with collect_missing_letters() as missing, self._drawn(_PICTURE, families) as figure:
            figure.savefig(content, format="png", dpi=DPI, facecolor=_PAPER, metadata={"Software": None})
        return content.getvalue(), missing

    @contextmanager
    def _drawn(self, colours: tuple[str, ...], families: list[str] | None = None) -> "Iterator[Figure]":
        """Draw the figure in these colours and this module's style, whatever the user's own settings."""
        import matplotlib
        from cycler import cycler
        from matplotlib.figure import Figure

        own = {
            "svg.hashsalt": self.name,
            "axes.prop_cycle": cycler(color=colours),
            "font.family": families or [DEFAULT_FONT],
        }
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE | dict.fromkeys(_INKED, colours[0]) | own)
            figure = Figure(figsize=self.size)
            self.draw(figure)
            yield figure
