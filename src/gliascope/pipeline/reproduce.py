"""The five systems, trained one after the other, theirs against ours."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gliascope import __version__
from gliascope.errors import GliascopeError, RecipeError
from gliascope.files import write_text
from gliascope.pages.systems import Outcome, SystemOutcome, SystemsData, write_systems
from gliascope.pipeline.compare import compare
from gliascope.pipeline.run import run
from gliascope.pipeline.systems import Entry, Published, load_systems
from gliascope.progress import note
from gliascope.recipes import Recipe, load_recipe

JOB = "job.json"  # what a folder's run was asked to do, written once it is done


def reproduce(
    data: Path,
    folder: Path,
    recipes: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    quickly: int | None = None,
    devices: int = 1,
    cache: bool = True,
) -> None:
    """Train recipes of the table on what it says of them, compare them, and write systems.html, .json, .md.

    Each goes into a folder of its own name; a finished one is not made again, and stays in the table when
    others are asked for. One that fails is set aside with its reason. quickly: a trial on so many slices of
    each source, class and part, one epoch a stage. Raises RecipeError for a recipe that the table lacks,
    GliascopeError where none could be trained.
    """
    systems = load_systems()
    known = [entry.recipe for system in systems for entry in system.recipes]
    for name in recipes or ():
        if name not in known:
            raise RecipeError(f"nothing to reproduce by {name!r}; choose from {', '.join(known)}")
    train = partial(run, devices=devices, cache=cache, limit=quickly)
    outcomes = []
    for system in systems:
        found = [
            _attempt(entry, data, folder / entry.recipe, overrides, quickly, train)
            if entry.recipe in (recipes or known)
            else _outcome(entry, folder / entry.recipe)
            for entry in system.recipes
            if entry.recipe in (recipes or known) or (folder / entry.recipe / JOB).exists()
        ]
        if found:
            outcomes.append(SystemOutcome(system.title, found))
    done = [outcome for system in outcomes for outcome in system.outcomes if outcome.report]
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_systems(folder, SystemsData(created, __version__, outcomes, _comparisons(done, folder)))
    if not done:
        raise GliascopeError(f"no recipe could be trained; the first: {outcomes[0].outcomes[0].reason}")


def _attempt(
    entry: Entry,
    data: Path,
    place: Path,
    overrides: Sequence[str],
    quickly: int | None,
    train: Callable[..., object],
) -> Outcome:
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
        note(f"{entry.recipe}: set aside ({reason})")
        return Outcome(entry.recipe, place, reason=reason)
    return _outcome(entry, place)


def _recipe(name: str, overrides: Sequence[str], quickly: int | None) -> Recipe:
    if quickly is None:
        return load_recipe(name, overrides)
    stages = len(load_recipe(name).stages)
    return load_recipe(name, [*(f"stages.{number}.epochs=1" for number in range(stages)), *overrides])


def _outcome(entry: Entry, place: Path) -> Outcome:
    report = _read(place / "report.json")
    job = _read(place / JOB)
    if report is None or job is None:
        return Outcome(entry.recipe, place, reason=f"{place}: holds no finished run; remove it")
    published = [
        published.model_dump(include={"what", "of", "value", "more", "note"})
        | {"ours": _ours(report, published)}
        for published in entry.published
    ]
    sources = [Path(source).name for source in job["sources"]]
    return Outcome(entry.recipe, place, sources, published, report, job["quickly"])


def _ours(report: dict[str, Any], published: Published) -> dict[str, float | None]:
    """Our number: {value, low, high}; the last two None for numbers of training."""
    if published.of in ("accuracy", "macro_auroc"):
        protocols = report["protocols"]
        number: dict[str, float | None] = protocols[published.protocol or next(iter(protocols))][published.of]
        return number
    row = {"first": 0, "last": -1, "chosen": report["chosen_epoch"] - 1}[published.epoch]
    return {"value": report["curves"][row][published.of], "low": None, "high": None}


def _comparisons(done: Sequence[Outcome], folder: Path) -> list[str]:
    """Compare all that were tested on the same slices with the same classes; names of the folders."""
    alike: dict[tuple[str, str], list[Path]] = {}
    for outcome in done:
        for protocol, result in (outcome.report or {})["protocols"].items():
            classes = f"{len(result['classes'])}-classes"
            name = "-".join(["compare", *outcome.sources, protocol, classes])
            alike.setdefault((name, protocol), []).append(outcome.place)
    made = []
    for (name, protocol), places in alike.items():
        if len(places) > 1:
            try:
                compare(places, folder / name, protocol)
                made.append(name)
            except GliascopeError as error:
                note(f"{name}: left out ({error})")
    return made


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
