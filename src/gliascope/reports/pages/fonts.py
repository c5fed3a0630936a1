"""Fonts of this machine for characters that Matplotlib's own font lacks."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from gliascope.runtime.progress import note

DEFAULT_FONT = "DejaVu Sans"
_BOXES = "Last Resort"  # comes with matplotlib, and has a box for every letter
_MISSING = re.compile(r"Glyph (\d+) .*missing from")


@contextmanager
def collect_missing_letters() -> Iterator[set[int]]:
    """Collect code points that no font has while a figure is drawn, instead of warning about each."""
    found: set[int] = set()
    logger = logging.getLogger("matplotlib.font_manager")  # of fonts without a bold face
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        logger.setLevel(level)
    for warning in caught:
        if match := _MISSING.match(str(warning.message)):
            found.add(int(match[1]))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def families_for(letters: set[int]) -> list[str]:
    """Choose font families to draw text with letters that Matplotlib's own font lacks.

    Matplotlib's own font comes first, then installed fonts, each with most of the letters that are
    still missing. letters: code points that Matplotlib's own font lacks.
    """
    families, left = [DEFAULT_FONT], set(letters)
    while left:
        name, charmap = max(_installed(), key=lambda font: len(left & font[1]()), default=("", frozenset))
        if not left & charmap():
            break
        families.append(name)
        left -= charmap()
    return families


@cache
def note_missing(letters: frozenset[int]) -> None:
    """Note once which characters cannot be drawn."""
    shown = "".join(map(chr, sorted(letters)[:8]))
    note(
        f"no font of this machine has the letters {shown}: pictures show boxes in their place; install one "
        "that has them, such as the package fonts-noto-cjk for Chinese, Japanese and Korean"
    )


Font = tuple[str, Callable[[], frozenset[int]]]


@cache
def _installed() -> tuple[Font, ...]:
    """Name and code points of each installed font, the same order on the same machine."""
    from matplotlib.font_manager import fontManager

    entries = sorted({entry.name: entry.fname for entry in fontManager.ttflist}.items())
    return tuple((name, _reader(file)) for name, file in entries if not name.startswith(_BOXES))


def _reader(file: str) -> Callable[[], frozenset[int]]:
    @cache
    def charmap() -> frozenset[int]:
        from matplotlib.ft2font import FT2Font

        try:
            return frozenset(FT2Font(file).get_charmap())
        except (OSError, RuntimeError):  # removed since matplotlib listed it, or damaged
            return frozenset()

    return charmap
