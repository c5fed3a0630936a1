"""Print the results of commands as short tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gliascope import RESEARCH_USE

if TYPE_CHECKING:
    import polars as pl

    from gliascope.audit import Audit
    from gliascope.dataset.catalog import Catalog
    from gliascope.splits.split import Split


def print_catalog(catalog: Catalog, unreadable_file: Path) -> None:
    """Print slices by source and class, and unreadable files (listed in `unreadable_file`) by reason."""
    from rich.markup import escape

    _print_counts(catalog.frame, ["source", "label"], "Slices")
    if catalog.excluded.height:
        _print_counts(
            catalog.excluded, ["source", "reason"], f"Unreadable files, see {escape(str(unreadable_file))}"
        )


def print_merge(catalog: Catalog, conflicts_file: Path) -> None:
    """Print the class balance before and after merging, and what was excluded.

    `conflicts_file` is the file that lists label conflicts.
    """
    import polars as pl
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    reasons = catalog.frame["exclusion_reason"]
    if reasons.is_null().all():
        console.print("No two slices have identical pixels.")
        return
    merged = catalog.frame.filter(reasons.is_null())
    stages = [(catalog.frame, "as found"), (merged, "merged")]
    both = pl.concat([frame.select("label", stage=pl.lit(stage)) for frame, stage in stages])
    _print_counts(both, ["stage", "label"], "Class balance")
    copies = reasons.str.starts_with("copy of ").sum()
    kinds = catalog.frame["kind"].drop_nulls().value_counts().sort("kind").rows()
    sources = list(map(escape, catalog.frame["source"].unique(maintain_order=True)))
    wins = (
        f"; the first of these sources keeps its slice: {' before '.join(sources)}"
        if len(sources) > 1
        else ""
    )
    console.print(f"{copies} copies (identical pixels) are excluded{wins}.")
    for kind, count in kinds:
        console.print(f"{count} slices are marked {escape(repr(kind))}: they neither train nor test.")
    if contradicting := reasons.count() - copies - sum(count for _, count in kinds):
        console.print(
            f"{contradicting} slices are identical to a slice of another class: all are excluded, "
            f"and listed in {escape(str(conflicts_file))}."
        )


def print_split(split: Split) -> None:
    """Print slices by subset and class."""
    from rich.markup import escape

    title = f"Protocol {split.protocol} {split.fold_name}".rstrip()
    _print_counts(split.frame, ["subset", "label"], escape(title))


def print_audit(audit: Audit) -> None:
    """Print copies by source, and the verdict."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("source", "slices", "distinct", "test", "seen in training", "any transform", title="Copies")
    for name, source in audit.facts.sources.items():
        counts = (
            source.slices,
            source.distinct_slices,
            source.test_slices,
            source.test_slices_with_training_twin,
            source.test_slices_with_training_twin_any_transform,
        )
        table.add_row(escape(name), *("–" if count is None else f"{count:,}" for count in counts))
    console = Console(highlight=False)
    console.print(table)
    verdict = audit.facts.verdict
    console.print(f"Verdict: {verdict.level}", markup=False)
    for sentence in verdict.sentences:
        console.print(f"- {sentence}", markup=False)
    console.print(RESEARCH_USE)


def print_report(folder: Path) -> None:
    """Print the headline figures of folder/report.json, and the path of the report."""
    from rich.console import Console
    from rich.table import Table

    from gliascope.reports.pages.notes import merged_notes
    from gliascope.reports.report import Report
    from gliascope.runtime.formats import decimal, percent, span

    report = Report.load(folder / Report.file)
    table = Table("protocol", "n", "accuracy", "balanced", "macro AUROC", "ECE", title="On the test slices")
    for name, result in report.protocols.items():
        cells = [f"{percent(n.value)}\n{span(n)}" for n in (result.accuracy, result.balanced_accuracy)]
        cells += [f"{decimal(n.value)}\n{span(n, 'decimal')}" for n in (result.macro_auroc, result.ece)]
        table.add_row(name + (" (leaky)" if result.leaky else ""), str(result.n), *cells)
        if folds := result.folds:
            spreads = (folds.accuracy, folds.balanced_accuracy)
            means = [f"{percent(one.mean)} ± {percent(one.sd, unit=False)}" for one in spreads]
            table.add_row(f"  mean ± sd of {len(folds.each)}", "", *means, "", "")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"95 % intervals by bootstrap over groups. {RESEARCH_USE}")
    notes = merged_notes({name: result.notes for name, result in report.protocols.items()})
    if notes:
        console.print(f"Warning: {' '.join(notes)}", markup=False)
    if report.decisions:
        console.print(report.decisions, markup=False)
    if report.audit and report.audit.level != "sound":
        console.print(f"Audit: {report.audit.sentences[0]}", markup=False)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, markup=False)


def print_comparison(folder: Path) -> None:
    """Print the rows of folder/compare.json, and the path of the page."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope.reports.comparison import Comparison
    from gliascope.runtime.formats import duration, p_value, percent, points, span

    data = Comparison.load(folder / Comparison.file)
    # These columns fit into 80 characters; the page has all of them.
    heads = ("run", "accuracy", "balanced", "p, Holm", "training", "MB", "ms")
    table = Table(*heads, title=f"{data.n} test slices, protocol {data.protocol}")
    for run in data.runs:
        against = run.against_best
        cells = [f"{percent(n.value)}\n{span(n)}" for n in (run.accuracy, run.balanced_accuracy)]
        cells += [p_value(against.p_holm) if against else "best", duration(run.seconds)]
        cells += [f"{run.bytes / 1e6:.1f}", f"{run.latency_ms.value:.1f}"]
        table.add_row(escape(run.name), *cells)
    console = Console(highlight=False)
    console.print(table)
    if data.notes:
        console.print(f"Warning: {' '.join(data.notes)}", markup=False)
    for row in data.ensembles:
        value, low, high = map(points, (row.gain.value, row.gain.low, row.gain.high))
        costs = f"{row.latency:.1f} times their latency, {row.bytes:.1f} times their size"
        line = f"{row.name}: {value} points ({low} to {high}) above the mean of its compared members, {costs}"
        console.print(line, markup=False)
    console.print(f"p: McNemar's exact test against the best. {RESEARCH_USE}")
    console.print(f"Page: {folder / 'compare.html'}", soft_wrap=True, markup=False)


def print_tune(folder: Path) -> None:
    """Print the best trials of folder/tune.json, and the paths of page and recipe."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope.reports.tuning import Tuning
    from gliascope.runtime.formats import decimal, percent

    data = Tuning.load(folder / Tuning.file)
    accuracy = data.objective == "val_accuracy"
    done = [trial for trial in data.ranked if not trial.pruned]
    keys = [axis.key for axis in data.axes]
    title = f"{len(done)} complete trials, {len(data.trials) - len(done)} pruned; the best:"
    table = Table("trial", data.objective, *map(escape, keys), title=title)
    for trial in done[:10]:
        value = percent(trial.value) if accuracy else decimal(trial.value)
        name = f"{trial.number}{' (unchanged)' if trial.number == data.baseline else ''}"
        values = [trial.values[key] for key in keys]
        table.add_row(name, value, *(escape(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in values))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"These are validation results, and the best of many is partly luck. {RESEARCH_USE}")
    console.print(f"Recipe: {folder / 'best.yaml'}", soft_wrap=True, markup=False)
    console.print(f"Page: {folder / 'tune.html'}", soft_wrap=True, markup=False)


def print_systems(folder: Path) -> None:
    """Print the results of each recipe in folder/systems.json, and the path of the page."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gliascope.reports.reproduction import ExcludedRecipe, Reproduction
    from gliascope.runtime.formats import percent, span

    data = Reproduction.load(folder / Reproduction.file)
    title = "A trial: these figures mean nothing" if data.is_trial else "Ours, on the test slices"
    table = Table("recipe", "protocol", "accuracy", "balanced", title=title)
    for recipe in data.recipes:
        if isinstance(recipe, ExcludedRecipe):
            table.add_row(escape(recipe.recipe), "excluded", escape(recipe.reason), "")
            continue
        for name, result in recipe.protocols.items():
            cells = [f"{percent(n.value)}\n{span(n)}" for n in (result.accuracy, result.balanced_accuracy)]
            leaky = " (leaky)" if result.leaky else ""
            table.add_row(escape(recipe.recipe), name + leaky, *cells)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"95 % intervals by bootstrap over groups. {RESEARCH_USE}")
    console.print(f"Page: {folder / 'systems.html'}", soft_wrap=True, markup=False)


def _print_counts(frame: pl.DataFrame, columns: list[str], title: str) -> None:
    """Print how many rows have each pair of values of two columns."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows, heads = columns
    console = Console(highlight=False)
    if _width(frame, rows, heads) > console.width:  # many classes, or long names: swap rows and columns
        rows, heads = heads, rows
    names = sorted(frame[heads].unique().to_list())
    table = Table(rows, *(escape(str(name)) for name in names), "all", title=title)
    for (name,), group in sorted(frame.group_by(rows)):
        counts = dict(group[heads].value_counts().rows())
        table.add_row(escape(str(name)), *(str(counts.get(head, 0)) for head in names), str(group.height))
    console.print(table)


def _width(frame: pl.DataFrame, rows: str, heads: str) -> int:
    """Return the width, in characters, of a table with a column for each value of `heads`."""
    from rich.cells import cell_len

    first = max(cell_len(str(name)) for name in [rows, *frame[rows].unique()])
    return 7 + first + len("all") + sum(3 + max(3, cell_len(str(name))) for name in frame[heads].unique())
