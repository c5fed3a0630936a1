"""Print runs, and the result of their verification."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gliascope.commands.runs import RunEntry
    from gliascope.commands.verify import Verification

MAX_NAMED = 10  # files that are listed


def print_runs(entries: list[RunEntry], folder: Path) -> None:
    """Print a row for each run."""
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
        path = entry.trained.folder.relative_to(folder)
        state = "finished" if entry.finished else "training"
        table.add_row(
            escape(recipe.name), record.protocol, str(recipe.seed), *numbers, escape(str(path)), state
        )
    Console(highlight=False).print(table)


def print_verification(result: Verification) -> None:
    """Print the differences between recorded and new predictions."""
    import typer

    from gliascope.runtime.folders import printable
    from gliascope.runtime.formats import percent

    lost = list(result.lost_files.items())
    for path, reason in lost[:MAX_NAMED]:
        typer.echo(f"lost: {printable(path)} ({reason})")
    if len(lost) > MAX_NAMED:
        typer.echo(f"lost: {len(lost) - MAX_NAMED} more files")
    for mismatch in result.mismatches:
        typer.echo(mismatch)
    if result.accuracy:
        then, now = (percent(share) for share in result.accuracy)
        typer.echo(
            f"accuracy {now}, recorded {then}; probabilities differ by {result.difference:.1g} at most"
        )
    typer.echo("agrees with what was recorded" if result.agrees else "does not agree with what was recorded")
