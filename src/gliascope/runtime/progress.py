"""Progress bars and notes on standard error. Bars are shown only on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet = ContextVar("quiet", default=False)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of `total` steps; yield a function that advances it by a number of steps."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def note(text: str) -> None:
    """Print one line to standard error."""
    from rich.console import Console

    if not _quiet.get():
        Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def without_notes() -> Iterator[None]:
    """Suppress notes within the block, for work that is repeated later and prints them then."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)
