"""Runs in, one Bundle and its Report out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gliascope import __version__
from gliascope.data.audit import Audit
from gliascope.data.catalog import Catalog
from gliascope.data.joint import joint_split
from gliascope.data.split import Split, write_splits
from gliascope.data.store import store
from gliascope.errors import GliascopeError, RunError
from gliascope.files import check_writable
from gliascope.inference.bundle import Bundle
from gliascope.pipeline.bundle import bundle
from gliascope.pipeline.evaluate import evaluate
from gliascope.pipeline.judge import judge
from gliascope.pipeline.served import served_by_protocol
from gliascope.progress import note
from gliascope.recipes import Recipe
from gliascope.recipes.run import Ensemble, Member, Record, Results, Run


def ensemble(
    places: Sequence[Path],
    folder: Path,
    average: Literal["probabilities", "logits"] = "probabilities",
    catalog: Path | None = None,
    split: Path | None = None,
) -> bool:
    """Join runs of folds, seeds or recipes into one model, and test it; whether there was anything to test.

    `folder` then holds what `run` writes: run/ with the model and its Judge, split.parquet, report, bundle.
    Members name the same classes and are given the same picture (`training.join`). catalog, split: those
    that they were trained on, by default the ones beside each. A slice that any member trained on neither
    tests nor validates: folds leave nothing to test the ensemble on, and it stays without a report.
    Raises RunError for fewer than two runs, unfinished ones, ones whose split is not found or that have no
    protocol in common; BundleError where they cannot be joined.
    """
    check_writable(folder)
    runs = _load(places)
    found = Catalog.load(runs[0].beside("catalog.parquet", catalog))
    splits = _joint(runs, [served_by_protocol(trained, split, found) for trained in runs])
    made = _make(runs, splits[0], folder / "run", average)
    write_splits(splits, folder / "split.parquet")
    _judge(made, found, splits[0])
    tested = [one for one in splits if "test" in set(one.frame["part"])]
    if not tested:
        note(
            f"{made.model}: made but not tested, for every slice trained a member or chose its epoch; the "
            "nearest there is to a number of its own is its members' cross-validation"
        )
        return False
    audit = runs[0].folder.parent / "audit"
    evaluate([made], found, tested, folder, Audit.load(audit) if audit.exists() else None)
    bundle(made, folder / "report.json", folder / "bundle")
    return True


def _load(places: Sequence[Path]) -> list[Run]:
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise GliascopeError(f"{', '.join(map(str, places))}: give two or more runs to join, each once")
    runs = [Run.load(place) for place in places]
    for trained in runs:
        trained.check_finished()
        if trained.record.ensemble:
            raise RunError(f"{trained.folder}: is an ensemble; join its members with the others instead")
    return runs


def _joint(runs: Sequence[Run], splits: Sequence[Sequence[Split]]) -> list[Split]:
    if len({trained.record.split for trained in runs}) == 1:
        return list(splits[0])
    by_protocol = [{split.protocol: split for split in served} for served in splits]
    common = [name for name in by_protocol[0] if all(name in served for served in by_protocol)]
    if not common:
        named = " but ".join(
            f"{', '.join(one)} ({run.folder})" for one, run in zip(by_protocol, runs, strict=True)
        )
        raise RunError(f"the runs were trained under different protocols: {named}; join runs of one")
    joint = [joint_split([served[name] for served in by_protocol]) for name in common]
    return [split for split in joint if split.training == joint[0].training]


def _make(
    runs: Sequence[Run], split: Split, folder: Path, average: Literal["probabilities", "logits"]
) -> Run:
    """The run folder of the ensemble, with its model and its members' recipes."""
    from gliascope.training.join import join

    name = _name(runs)
    made = Run(folder, _recipe(runs, name, average), _record(runs, split, average))
    if (folder / "run.json").exists() and not Run.load(folder).record.ensemble:
        raise RunError(f"{folder}: holds a run that is no ensemble; choose another folder")
    joined = join(name, [Bundle.load(trained.model) for trained in runs], average)
    for number, trained in enumerate(runs, start=1):
        Run(folder / "members" / str(number), trained.recipe, trained.record).save()
    made.save()
    joined.write(made.model)
    return made


def _name(runs: Sequence[Run]) -> str:
    """Like "quick × 3 + best"."""
    counts = Counter(trained.recipe.name for trained in runs)
    return " + ".join(name if count == 1 else f"{name} × {count}" for name, count in counts.items())


def _recipe(runs: Sequence[Run], name: str, average: str) -> Recipe:
    """The first member's, under a name and a description of its own."""
    told = (
        f"The mean of the {average} of {len(runs)} runs. Their recipes are in members/; the first's is below."
    )
    return runs[0].recipe.model_copy(update={"name": name, "description": told, "origin": None})


def _record(runs: Sequence[Run], split: Split, average: str) -> Record:
    records = [trained.record for trained in runs]
    own = split.for_task(runs[0].recipe.task)
    licences = list(dict.fromkeys(record.weights_licence for record in records))
    members = {
        str(number): Member(
            recipe=trained.recipe.name,
            seed=trained.recipe.seed,
            chooses=trained.recipe.chooses,
            split=trained.record.split,
            model_sha256=Bundle.load(trained.model).info.model_sha256,
        )
        for number, trained in enumerate(runs, start=1)
    }
    return records[0].model_copy(
        update={
            "version": __version__,
            "protocol": own.protocol,
            "split": own.training,
            "slices": dict(own.frame.group_by("part").len().rows()),
            "data": own.fingerprints,
            "weights_licence": None if None in licences else ", ".join(map(str, licences)),
            "environment": _merged([record.environment for record in records]),
            "results": Results(
                chosen=None,
                seconds=round(sum(map(_seconds, runs)), 1),
                parameters=sum(record.results.parameters for record in records if record.results),
            ),
            "ensemble": Ensemble(average=average, members=members),
        }
    )


def _seconds(trained: Run) -> float:
    """Of training; a run that was resumed knows its last session, and the epochs of all."""
    assert trained.record.results is not None  # noqa: S101 (it is finished)
    return max(trained.record.results.seconds, float(sum(row.seconds for row in trained.history())))


def _merged(facts: Sequence[dict[str, str | int]]) -> dict[str, str | int]:
    merged: dict[str, str | int] = {}
    for key in facts[0]:
        values = list(dict.fromkeys(one[key] for one in facts if key in one))
        merged[key] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return merged


def _judge(made: Run, catalog: Catalog, split: Split) -> None:
    """Members are joined as they are and calibrated together (Rahaman & Thiery, NeurIPS 2021)."""
    images = store(catalog.frame, Bundle.load(made.model).info.preprocessing)
    judge(made, images, split.for_task(made.recipe.task))
