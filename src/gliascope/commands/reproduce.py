"""Train the recipes of published systems and compare the results with the published numbers."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gliascope.commands.compare import compare
from gliascope.commands.run import run
from gliascope.commands.systems import PublishedResult, RecipeEntry, load_systems
from gliascope.errors import GliascopeError, RecipeError, ReportError
from gliascope.evaluation.estimate import Estimate
from gliascope.recipes import Recipe, load_recipe
from gliascope.reports.model import TrainedModel
from gliascope.reports.pages.systems import write_systems
from gliascope.reports.report import Report
from gliascope.reports.reproduction import (
    ExcludedRecipe,
    ProtocolNumbers,
    PublishedNumber,
    Reproduction,
    System,
    TrainedRecipe,
)
from gliascope.runtime.files import write_text
from gliascope.runtime.progress import note

JOB = "job.json"  # the settings of a finished run, written last


def reproduce(
    data: Path,
    folder: Path,
    recipes: Sequence[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    slices_per_class: int | None = None,
    devices: int = 1,
    cache: bool = True,
) -> None:
    """Train the recipes of systems.yaml, compare them, and write systems.html, systems.json and systems.md.

    Each recipe gets a subfolder of its own name. A finished recipe is not trained again, and stays in the
    table if other recipes are asked for. A recipe that fails is excluded with its reason.

    Parameters
    ----------
    data
        Folder that holds the sources.
    folder
        Where everything is written.
    recipes
        Names of the recipes to train; by default all.
    overrides
        KEY=VALUE settings for every recipe.
    slices_per_class
        For a trial: train on so many slices of each source, class and subset, with one epoch for each stage.
    devices, cache
        As in `train`.

    Raises
    ------
    RecipeError
        If systems.yaml lacks one of `recipes`.
    GliascopeError
        If no recipe could be trained.
    """
    systems = load_systems()
    known = [entry.recipe for system in systems for entry in system.recipes]
    for name in recipes or ():
        if name not in known:
            raise RecipeError(f"nothing to reproduce by {name!r}; choose from {', '.join(known)}")
    train_recipe = partial(run, devices=devices, cache=cache, limit=slices_per_class)
    results = []
    for system in systems:
        recipes_of = [
            _attempt(
                entry,
                data,
                folder / entry.recipe,
                overrides=overrides,
                slices_per_class=slices_per_class,
                train_recipe=train_recipe,
            )
            if entry.recipe in (recipes or known)
            else _outcome(entry, folder / entry.recipe)
            for entry in system.recipes
            if entry.recipe in (recipes or known) or (folder / entry.recipe / JOB).exists()
        ]
        if recipes_of:
            results.append(System(title=system.title, recipes=tuple(recipes_of)))
    result = Reproduction(
        created=datetime.now(UTC).isoformat(timespec="seconds"), systems=tuple(results), comparisons=()
    )
    comparisons = _comparisons(result.trained, folder)
    write_systems(folder, result.model_copy(update={"comparisons": tuple(comparisons)}))
    first = result.recipes[0]
    if not result.trained and isinstance(first, ExcludedRecipe):
        raise GliascopeError(f"no recipe could be trained; the first: {first.reason}")


def _attempt(
    entry: RecipeEntry,
    data: Path,
    folder: Path,
    *,
    overrides: Sequence[str],
    slices_per_class: int | None,
    train_recipe: Callable[..., object],
) -> TrainedRecipe | ExcludedRecipe:
    """Train one recipe unless it is finished already; a failure becomes an ExcludedRecipe."""
    try:
        recipe = _recipe(entry.recipe, overrides, slices_per_class)
        sources = entry.folders(data)
        job = entry.model_dump(mode="json", exclude={"published"}) | {
            "sources": [str(source.resolve()) for source in sources],
            "recipe": recipe.model_dump(mode="json"),
            "quickly": slices_per_class,
        }
        if _read(folder / JOB) != job:
            note(f"{entry.recipe}: trained in {folder}")
            labels = folder / "labels.yaml" if entry.labels else None
            if labels:
                write_text(labels, yaml.safe_dump(entry.labels))
            train_recipe(
                sources,
                folder,
                recipe,
                protocols=entry.protocols,
                labels=labels,
                validation=entry.validation,
            )
            write_text(folder / JOB, json.dumps(job, indent=2))
    except (GliascopeError, OSError, RuntimeError) as error:  # torch raises RuntimeError if memory runs out
        reason = " ".join(str(error).split())
        note(f"{entry.recipe}: excluded ({reason})")
        return ExcludedRecipe(recipe=entry.recipe, folder=folder.name, reason=reason)
    return _outcome(entry, folder)


def _recipe(name: str, overrides: Sequence[str], slices_per_class: int | None) -> Recipe:
    """Load a recipe; in a trial each stage has one epoch."""
    if slices_per_class is None:
        return load_recipe(name, overrides)
    stages = len(load_recipe(name).stages)
    return load_recipe(name, [*(f"stages.{number}.epochs=1" for number in range(stages)), *overrides])


def _outcome(entry: RecipeEntry, folder: Path) -> TrainedRecipe | ExcludedRecipe:
    """Return the row of the table for a recipe whose folder exists."""
    job = _read(folder / JOB)
    try:
        report = Report.load(folder / Report.file)
    except ReportError:
        report = None
    if report is None or report.run is None or not isinstance(report.model, TrainedModel) or job is None:
        reason = f"{folder}: holds no finished run of this version; remove the folder"
        return ExcludedRecipe(recipe=entry.recipe, folder=folder.name, reason=reason)
    return TrainedRecipe(
        recipe=entry.recipe,
        folder=folder.name,
        sources=tuple(Path(source).name for source in job["sources"]),
        slices_per_class=job["quickly"],
        published=tuple(
            PublishedNumber(
                name=one.name,
                quantity=one.quantity,
                value=one.value,
                lower_bound=one.lower_bound,
                note=one.note,
                ours=_ours(report, one),
            )
            for one in entry.published
        ),
        protocols={
            name: ProtocolNumbers.model_validate(result.model_dump(include=set(ProtocolNumbers.model_fields)))
            for name, result in report.protocols.items()
        },
        leak=report.leak,
        seconds=report.model.seconds,
        device=str(report.run.environment["device"]),
    )


def _ours(report: Report, published: PublishedResult) -> Estimate:
    """Return our number beside a published one; a figure of training has no interval."""
    if published.quantity in ("accuracy", "macro_auroc"):
        tested = report.protocols[published.protocol] if published.protocol else report.headline
        return tested.accuracy if published.quantity == "accuracy" else tested.macro_auroc
    row = {"first": 0, "last": -1, "chosen": (report.chosen_epoch or 0) - 1}[published.epoch]
    epoch = report.curves[row]
    value = epoch.train_accuracy if published.quantity == "train_accuracy" else epoch.val_accuracy
    return Estimate(value=value, low=None, high=None)


def _comparisons(done: Sequence[TrainedRecipe], folder: Path) -> list[str]:
    """Compare recipes that were tested on the same slices and classes; returns the new folders' names."""
    comparable: dict[tuple[str, str], list[Path]] = {}
    for recipe in done:
        for protocol, result in recipe.protocols.items():
            name = "-".join(["compare", *recipe.sources, protocol, f"{len(result.classes)}-classes"])
            comparable.setdefault((name, protocol), []).append(folder / recipe.folder)
    names = []
    for (name, protocol), folders in comparable.items():
        if len(folders) > 1:
            try:
                compare(folders, folder / name, protocol)
                names.append(name)
            except GliascopeError as error:
                note(f"{name}: left out ({error})")
    return names


def _read(path: Path) -> dict[str, Any] | None:
    """Read the JOB file of a finished run; None if there is none or it is damaged."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
