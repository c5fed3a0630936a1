"""Runs in, one Bundle and its Report out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gliascope import __version__
from gliascope.audit import Audit
from gliascope.commands.bundle import bundle
from gliascope.commands.evaluate import evaluate
from gliascope.commands.run_splits import first_splits_of_run
from gliascope.commands.train import calibrate_runs
from gliascope.dataset.catalog import Catalog
from gliascope.errors import GliascopeError, RunError
from gliascope.inference.bundle import Bundle
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import Recipe
from gliascope.recipes.run import EnsembleMember, EnsembleRecord, Run, RunRecord, RunResults
from gliascope.runtime.files import check_writable
from gliascope.runtime.progress import note
from gliascope.splits.joint import joint_split
from gliascope.splits.split import Split, write_splits
from gliascope.store.store import store


def ensemble(
    run_folders: Sequence[Path],
    folder: Path,
    average: Literal["probabilities", "logits"] = "probabilities",
    catalog: Path | None = None,
    split: Path | None = None,
) -> bool:
    """Join runs of folds, seeds or recipes into one model, and test it; whether there was anything to test.

    `folder` then holds what `run` writes: run/ with the calibrated model, split.parquet, report, bundle.
    Members name the same classes, and their pictures can be made of one (`joint_preprocessing`). catalog,
    split: those that they were trained on, by default the ones beside each. A slice that any member trained
    on neither tests nor validates: folds leave nothing to test the ensemble on, and it stays without a
    report. Raises RunError for fewer than two runs, unfinished ones, ones whose split is not found, that have
    no protocol in common or that cannot be joined.
    """
    check_writable(folder)
    runs = _load(run_folders)
    given = joint_preprocessing(runs)
    found = Catalog.load(runs[0].made_from("catalog.parquet", catalog))
    splits = _joint(runs, [first_splits_of_run(trained, split, found) for trained in runs])
    made = _make(runs=runs, split=splits[0], given=given, folder=folder / "run", average=average)
    write_splits(splits, folder / "split.parquet")
    splits = [one.for_task(made.recipe.task) for one in splits]
    images = store(found.frame, Bundle.load(made.model).info.preprocessing)
    # Members are joined as they are and calibrated together (Rahaman & Thiery, NeurIPS 2021).
    calibrate_runs([made], images, splits)
    tested = [one for one in splits if "test" in set(one.frame["part"])]
    if not tested:
        note(
            f"{made.model}: made but not tested, for every slice trained a member or chose its epoch; the "
            "nearest there is to a number of its own is its members' cross-validation"
        )
        return False
    audit = runs[0].folder.parent / "audit"
    facts = Audit.load(audit) if audit.exists() else None
    evaluate([made], found, tested, images, folder=folder, audit=facts)
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
    for other in runs[1:]:
        if runs[0].record.classes != other.record.classes:
            named = " but ".join(", ".join(one.record.classes) for one in (runs[0], other))
            raise RunError(
                f"{runs[0].folder} and {other.folder} name different classes: {named}; join runs of one task"
            )
    return runs


def joint_preprocessing(runs: Sequence[Run]) -> Preprocessing:
    """What makes the picture that all members of an ensemble can be given.

    It is of the largest member's size, and in colour where any member sees colour; the ensemble's graph makes
    each member's own picture of it. Where members see central squares of different shares of a picture, all
    of it counts as seen; where they differ in mean or std, the ensemble has none of its own. Raises RunError
    where members differ in anything that no resizing of a finished picture makes up for.
    """
    prepared = [one.recipe.preprocessing for one in runs]
    for other, theirs in zip(runs, prepared, strict=True):
        different = [
            f"{key} ({getattr(prepared[0], key)}, {getattr(theirs, key)})"
            for key in ("filter", "crop", "fit", "standardise")
            if getattr(prepared[0], key) != getattr(theirs, key)
        ]
        if different:
            raise RunError(
                f"{runs[0].folder} and {other.folder} prepare slices differently: {', '.join(different)}; "
                "one graph can resize, cut or turn grey a picture for each member, and no more: train them "
                "with the same"
            )
    largest = max(prepared, key=lambda one: one.size)
    shares = {one.input_size / one.size for one in prepared}
    return largest.model_copy(
        update={
            "channels": "rgb" if any(one.channels == "rgb" for one in prepared) else "grey",
            "centre": largest.centre if len(shares) == 1 else None,
            "mean": largest.mean if len({one.mean for one in prepared}) == 1 else None,
            "std": largest.std if len({one.std for one in prepared}) == 1 else None,
        }
    )


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
    *,
    runs: Sequence[Run],
    split: Split,
    given: Preprocessing,
    folder: Path,
    average: Literal["probabilities", "logits"],
) -> Run:
    """The run folder of the ensemble, with its model and its members' recipes."""
    from gliascope.training.ensemble import join

    name = _name(runs)
    made = Run(folder, _recipe(runs, name, given, average), _record(runs, split, average))
    if (folder / "run.json").exists() and not Run.load(folder).record.ensemble:
        raise RunError(f"{folder}: holds a run that is no ensemble; choose another folder")
    joined = join(name, runs, given, average)
    for number, trained in enumerate(runs, start=1):
        Run(folder / "members" / str(number), trained.recipe, trained.record).save()
    made.save()
    joined.write(made.model)
    return made


def _name(runs: Sequence[Run]) -> str:
    """Like "quick × 3 + best"."""
    counts = Counter(trained.recipe.name for trained in runs)
    return " + ".join(name if count == 1 else f"{name} × {count}" for name, count in counts.items())


def _recipe(runs: Sequence[Run], name: str, given: Preprocessing, average: str) -> Recipe:
    """The first member's, with the name, the description and the preprocessing of the ensemble."""
    told = (
        f"The mean of the {average} of {len(runs)} runs. Their recipes are in members/; the first's is below."
    )
    update = {"name": name, "description": told, "origin": None, "preprocessing": given}
    return runs[0].recipe.model_copy(update=update)


def _record(runs: Sequence[Run], split: Split, average: str) -> RunRecord:
    from gliascope.training.ensemble import merged

    records = [trained.record for trained in runs]
    own = split.for_task(runs[0].recipe.task)
    licences = list(dict.fromkeys(record.weights_licence for record in records))
    members = {
        str(number): EnsembleMember(
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
            "store": ", ".join(dict.fromkeys(record.store for record in records)),
            "slices": dict(own.frame.group_by("part").len().rows()),
            "data": own.fingerprints,
            "weights_licence": None if None in licences else ", ".join(map(str, licences)),
            "environment": merged([record.environment for record in records]),
            "results": RunResults(
                chosen=None,
                seconds=round(sum(map(_seconds, runs)), 1),
                parameters=sum(record.results.parameters for record in records if record.results),
            ),
            "ensemble": EnsembleRecord(average=average, members=members),
        }
    )


def _seconds(trained: Run) -> float:
    """Of training; a run that was resumed knows its last session, and the epochs of all."""
    assert trained.record.results is not None  # noqa: S101 (it is finished)
    return max(trained.record.results.seconds, float(sum(row.seconds for row in trained.history())))
