"""The five systems, trained one after the other, theirs against ours."""

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

JOB = "job.json"  # what a folder's run was asked to do, written once it is done


def reproduce(
    data: Path,
    folder: Path,
    recipes: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    slices_per_class: int | None = None,
    devices: int = 1,
    cache: bool = True,
) -> None:
    """Train recipes of the table on what it says of them, compare them, and write systems.html, .json, .md.

    Each goes into a folder of its own name; a finished one is not made again, and stays in the table when
    others are asked for. One that fails is excluded with its reason. quickly: a trial on so many slices of
    each source, class and part, one epoch a stage. Raises RecipeError for a recipe that the table lacks,
    GliascopeError where none could be trained.
    """
    systems = load_systems()
    known = [entry.recipe for system in systems for entry in system.recipes]
    for name in recipes or ():
        if name not in known:
            raise RecipeError(f"nothing to reproduce by {name!r}; choose from {', '.join(known)}")
    train = partial(run, devices=devices, cache=cache, limit=slices_per_class)
    found = []
    for system in systems:
        recipes_of = [
            _attempt(entry, data, folder / entry.recipe, overrides, slices_per_class, train)
            if entry.recipe in (recipes or known)
            else _outcome(entry, folder / entry.recipe)
            for entry in system.recipes
            if entry.recipe in (recipes or known) or (folder / entry.recipe / JOB).exists()
        ]
        if recipes_of:
            found.append(System(title=system.title, recipes=tuple(recipes_of)))
    result = Reproduction(
        created=datetime.now(UTC).isoformat(timespec="seconds"), systems=tuple(found), comparisons=()
    )
    comparisons = _comparisons(result.done, folder)
    write_systems(folder, result.model_copy(update={"comparisons": tuple(comparisons)}))
    first = result.all[0]
    if not result.done and isinstance(first, ExcludedRecipe):
        raise GliascopeError(f"no recipe could be trained; the first: {first.excluded}")


def _attempt(
    entry: RecipeEntry,
    data: Path,
    place: Path,
    overrides: Sequence[str],
    quickly: int | None,
    train: Callable[..., object],
) -> TrainedRecipe | ExcludedRecipe:
    """Run one recipe, unless it has run already; a failure is an outcome, too."""
    try:
        recipe = _recipe(entry.recipe, overrides, quickly)
        sources = entry.folders(data)
        job = entry.model_dump(mode="json", exclude={"published"}) | {
            "sources": [str(source.resolve()) for source in sources],
            "recipe": recipe.model_dump(mode="json"),
            "quickly": quickly,
        }
        if _read(place / JOB) != job:
            note(f"{entry.recipe}: into {place}")
            labels = place / "labels.yaml" if entry.labels else None
            if labels:
                write_text(labels, yaml.safe_dump(entry.labels))
            train(
                sources,
                place,
                recipe,
                protocols=entry.protocols,
                labels=labels,
                validation=entry.validation,
            )
            write_text(place / JOB, json.dumps(job, indent=2))
    except (GliascopeError, OSError, RuntimeError) as error:  # torch has the last where memory runs out
        reason = " ".join(str(error).split())
        note(f"{entry.recipe}: excluded ({reason})")
        return ExcludedRecipe(recipe=entry.recipe, folder=place.name, excluded=reason)
    return _outcome(entry, place)


def _recipe(name: str, overrides: Sequence[str], quickly: int | None) -> Recipe:
    if quickly is None:
        return load_recipe(name, overrides)
    stages = len(load_recipe(name).stages)
    return load_recipe(name, [*(f"stages.{number}.epochs=1" for number in range(stages)), *overrides])


def _outcome(entry: RecipeEntry, place: Path) -> TrainedRecipe | ExcludedRecipe:
    job = _read(place / JOB)
    try:
        report = Report.load(place / Report.file)
    except ReportError:
        report = None
    if report is None or report.run is None or not isinstance(report.model, TrainedModel) or job is None:
        reason = f"{place}: holds no finished run of this version; remove it"
        return ExcludedRecipe(recipe=entry.recipe, folder=place.name, excluded=reason)
    return TrainedRecipe(
        recipe=entry.recipe,
        folder=place.name,
        sources=tuple(Path(source).name for source in job["sources"]),
        quickly=job["quickly"],
        published=tuple(
            PublishedNumber(
                what=one.name,
                of=one.quantity,
                value=one.value,
                more=one.lower_bound,
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
    """Our number; without an interval where it is one of training."""
    if published.quantity in ("accuracy", "macro_auroc"):
        tested = report.protocols[published.protocol] if published.protocol else report.headline
        return tested.accuracy if published.quantity == "accuracy" else tested.macro_auroc
    row = {"first": 0, "last": -1, "chosen": (report.chosen_epoch or 0) - 1}[published.epoch]
    epoch = report.curves[row]
    value = epoch.train_accuracy if published.quantity == "train_accuracy" else epoch.val_accuracy
    return Estimate(value=value, low=None, high=None)


def _comparisons(done: Sequence[TrainedRecipe], folder: Path) -> list[str]:
    """Compare all that were tested on the same slices with the same classes; names of the folders."""
    alike: dict[tuple[str, str], list[Path]] = {}
    for recipe in done:
        for protocol, result in recipe.protocols.items():
            name = "-".join(["compare", *recipe.sources, protocol, f"{len(result.classes)}-classes"])
            alike.setdefault((name, protocol), []).append(folder / recipe.folder)
    made = []
    for (name, protocol), places in alike.items():
        if len(places) > 1:
            try:
                compare(places, folder / name, protocol)
                made.append(name)
            except GliascopeError as error:
                note(f"{name}: left out ({error})")
    return made


def _read(path: Path) -> dict[str, Any] | None:
    """What `_attempt` wrote beside a finished run; None where it has not."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
