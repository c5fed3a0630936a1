"""`gliascope explain`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import RunFolder


def explain(
    run: RunFolder,
    *,
    masks: Annotated[
        list[Path],
        typer.Option(
            help="CSV with the columns path, mask, label[, group], with paths relative to the CSV; or a "
            "folder of figshare .mat files, which hold their masks. Repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for explain.html, explain.json and figures.")] = Path(
        "explain"
    ),
    methods: Annotated[
        str,
        typer.Option(
            help="Separated by commas. Also: occlusion (seconds for each slice) and score_cam (a minute)."
        ),
    ] = "grad_cam,hires_cam",
    split: Annotated[
        Path | None,
        typer.Option(
            help="The run's split, to exclude its training slices; by default the one beside the run."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximal number of slices of each --masks.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, help="Number of slices of each --masks for the slow checks.")
    ] = 16,
) -> None:
    """Compare a run's saliency maps with outlined lesions, and test whether predictions depend on them."""
    from gliascope.cli.options import comma_separated
    from gliascope.commands.explain import explain_run
    from gliascope.recipes.run import Run

    explain_run(
        Run.load(run),
        masks,
        out,
        methods=comma_separated(methods),
        split=split,
        limit=limit,
        sample=sample,
    )
    _print(out)


def _print(out: Path) -> None:
    """Print the figures of explain.json."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope import RESEARCH_USE
    from gliascope.reports.explanation import Explanation
    from gliascope.reports.pages.explanation import NAMES
    from gliascope.runtime.formats import percent, span

    data = Explanation.load(out / Explanation.file)
    console = Console(highlight=False)
    table = Table(
        "slices", "map", "pointing game", "in the lesion itself", "energy in lesion", title=RESEARCH_USE
    )
    for name, one in data.sets.items():
        for method, row in one.figures.items():
            shares = [
                f"{percent(share.value)} ({span(share) or '–'})" for share in (row.pointing, row.inside)
            ]
            table.add_row(
                f"{escape(name)}, {one.n}", NAMES.get(method, method), *shares, percent(row.energy.value)
            )
    console.print(table)
    for method, found in data.randomised.items():
        last = [*found.steps.values()][-1]
        console.print(f"{NAMES.get(method, method)}: correlation {last:.2f} with the map of random weights")
    console.print(f"{escape(str(out / 'explain.html'))}", soft_wrap=True)
