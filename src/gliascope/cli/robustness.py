"""`gliascope robustness`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def robustness(
    run: RunFolder,
    *,
    catalog: Annotated[
        Path | None, typer.Option(help="The run's catalogue; by default the one beside the run.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The run's split; by default the one beside the run.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximal number of test slices, drawn at random.")] = 300,
    out: Annotated[
        Path, typer.Option(help="Folder for robustness.html, robustness.json and figures.")
    ] = Path("robustness"),
) -> None:
    """Test a model on slices with noise, blur, bias field, gamma, rotation, ghosts, JPEG, downsampling."""
    from gliascope.commands.robustness import robustness as test_robustness
    from gliascope.dataset.catalog import Catalog
    from gliascope.recipes.run import Run
    from gliascope.splits.split import load_splits

    trained = Run.load(run)
    splits = load_splits(trained.input_path("split.parquet", split))
    slices = Catalog.load(trained.input_path("catalog.parquet", catalog))
    test_robustness(trained, slices, splits, out, limit=limit)
    _print(out)


def _print(out: Path) -> None:
    """Print the figures of robustness.json."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope import RESEARCH_USE
    from gliascope.evaluation.robustness import RobustnessMetrics
    from gliascope.reports.robustness import Robustness
    from gliascope.runtime.formats import percent, points, span

    data = Robustness.load(out / Robustness.file)
    columns = ("at its worst", "strength", "accuracy", "", "lost", "wrong and accepted")
    table = Table(*columns, title=RESEARCH_USE)
    rows: list[tuple[str, float, RobustnessMetrics]] = [("as it is", 0.0, data.clean)]
    rows += [(one.title, one.worst, one.at_worst) for one in data.corruptions.values()]
    for title, strength, row in rows:
        table.add_row(
            escape(title), f"{strength:g}", percent(row.accuracy.value), span(row.accuracy),
            points(row.accuracy_loss.value),
            percent(row.accepted_errors.value if row.accepted_errors else None),
        )  # fmt: skip
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{escape(str(out / 'robustness.html'))}", soft_wrap=True)
