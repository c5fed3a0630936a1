"""Tables of runs that were made, and of what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gliascope.commands.runs import RunEntry
    from gliascope.commands.verify import Verification

NAMED = 10


def print_runs(entries: list[RunEntry], folder: Path) -> None:
    """A row for each run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from gliascope.runtime.formats import duration, percent, span

    heads = ("recipe", "protocol", "seed", "epoch", "validation", "test", "training", "started")
    table = Table(*heads, Column("folder", overflow="fold"), "state", title=f"{len(entries)} runs")
    for entry in entries:
        recipe, record = entry.trained.recipe, entry.trained.record
        numbers = [
            "–" if entry.chosen_epoch is None else str(entry.chosen_epoch),
            "–" if entry.val_accuracy is None else percent(entry.val_accuracy),
            f"{percent(entry.accuracy.value)}\n{span(entry.accuracy)}" if entry.accuracy else "–",
            "–" if entry.seconds is None else duration(entry.seconds),
            (record.started or "–")[:16].replace("T", " "),
        ]
        place = entry.trained.folder.relative_to(folder)
        state = "finished" if entry.finished else "training"
        table.add_row(
            escape(recipe.name), record.protocol, str(recipe.seed), *numbers, escape(str(place)), state
        )
    Console(highlight=False).print(table)


def print_verification(found: Verification) -> None:
    """What was compared, and with which outcome."""
    import typer

    from gliascope.runtime.folders import printable
    from gliascope.runtime.formats import percent

    lost = list(found.lost_files.items())
    for path, reason in lost[:NAMED]:
        typer.echo(f"lost: {printable(path)} ({reason})")
    if len(lost) > NAMED:
        typer.echo(f"lost: {len(lost) - NAMED} more files")
    for complaint in found.mismatches:
        typer.echo(complaint)
    if found.accuracy:
        then, now = (percent(share) for share in found.accuracy)
        typer.echo(f"accuracy {now}, recorded {then}; probabilities differ by {found.difference:.1g} at most")
    typer.echo("agrees with what was recorded" if found.agrees else "does not agree with what was recorded")
