"""Join several runs into one model, and test it."""

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
    *,
    average: Literal["probabilities", "logits"] = "probabilities",
    catalog: Path | None = None,
    split: Path | None = None,
) -> bool:
    """Join runs of several folds, seeds or recipes into one model, and test it.

    The folder then holds what `run` writes: run/ with the calibrated model, split.parquet, report and bundle.
    A slice that any member trained on neither tests nor validates the ensemble. An ensemble of all folds
    therefore has no slice to be tested on, and gets neither report nor bundle.

    Parameters
    ----------
    run_folders
        Two or more finished runs with the same classes, whose preprocessing `joint_preprocessing` can join.
    folder
        Where everything is written.
    average
        What is averaged over the members.
    catalog
        The catalogue that the runs were trained on; by default the one beside the first run.
    split
        The split that the runs were trained on; by default the one beside each run.

    Returns
    -------
    bool
        Whether a slice was left to test the ensemble on.

    Raises
    ------
    RunError
        If a run is unfinished, its split is not found, or the runs cannot be joined.
    """
    check_writable(folder)
    runs = _load(run_folders)
    preprocessing = joint_preprocessing(runs)
    scanned = Catalog.load(runs[0].input_path("catalog.parquet", catalog))
    splits = _joint(runs, [first_splits_of_run(trained, split, scanned) for trained in runs])
    joined = _join(
        runs=runs, split=splits[0], preprocessing=preprocessing, folder=folder / "run", average=average
    )
    write_splits(splits, folder / "split.parquet")
    splits = [one.for_task(joined.recipe.task) for one in splits]
    images = store(scanned.frame, Bundle.load(joined.model).info.preprocessing)
    # Members are joined as they are and calibrated together (Rahaman & Thiery, NeurIPS 2021).
    calibrate_runs([joined], images, splits)
    tested = [one for one in splits if "test" in set(one.frame["subset"])]
    if not tested:
        note(
            f"{joined.model}: made but not tested, because every slice trained a member or chose its epoch; "
            "take the cross-validation of the members as an estimate"
        )
        return False
    audit = runs[0].folder.parent / "audit"
    facts = Audit.load(audit) if audit.exists() else None
    evaluate([joined], scanned, tested, images, folder=folder, audit=facts)
    bundle(joined, folder / "report.json", folder / "bundle")
    return True


def _load(folders: Sequence[Path]) -> list[Run]:
    """Load the members. Raises RunError where runs are unfinished or do not fit together."""
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise GliascopeError(f"{', '.join(map(str, folders))}: give two or more runs to join, each once")
    runs = [Run.load(folder) for folder in folders]
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
    """Return a preprocessing whose result holds what every member needs.

    The result has the size of the largest member, and three channels if any member has three; the graph of
    the ensemble derives the input of each member from it. If the members see central squares of different
    relative size, the whole picture is kept. If they differ in mean or std, the joint preprocessing has none.

    Raises
    ------
    RunError
        If the members differ in filter, crop, fit or standardise, which no later step can make up for.
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
                "an ensemble can only resize, crop or turn grey a slice for each member; train the members "
                "with the same values"
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
    """Join the splits of the members, protocol by protocol."""
    if len({trained.record.split for trained in runs}) == 1:
        return list(splits[0])
    by_protocol = [{split.protocol: split for split in own} for own in splits]
    common = [name for name in by_protocol[0] if all(name in own for own in by_protocol)]
    if not common:
        named = " but ".join(
            f"{', '.join(one)} ({run.folder})" for one, run in zip(by_protocol, runs, strict=True)
        )
        raise RunError(f"the runs were trained under different protocols: {named}; join runs of one protocol")
    joint = [joint_split([own[name] for own in by_protocol]) for name in common]
    return [split for split in joint if split.training_hash == joint[0].training_hash]


def _join(
    *,
    runs: Sequence[Run],
    split: Split,
    preprocessing: Preprocessing,
    folder: Path,
    average: Literal["probabilities", "logits"],
) -> Run:
    """Write the run folder of the ensemble, with its model and the recipes of its members."""
    from gliascope.export.ensemble import export_ensemble

    name = _name(runs)
    made = Run(folder, _recipe(runs, name, preprocessing, average), _record(runs, split, average))
    if (folder / "run.json").exists() and not Run.load(folder).record.ensemble:
        raise RunError(f"{folder}: holds a run that is not an ensemble; choose another folder")
    joined = export_ensemble(name, runs, preprocessing, average)
    for number, trained in enumerate(runs, start=1):
        Run(folder / "members" / str(number), trained.recipe, trained.record).save()
    made.save()
    joined.write(made.model)
    return made


def _name(runs: Sequence[Run]) -> str:
    """Return a name such as "quick × 3 + best"."""
    counts = Counter(trained.recipe.name for trained in runs)
    return " + ".join(name if count == 1 else f"{name} × {count}" for name, count in counts.items())


def _recipe(runs: Sequence[Run], name: str, preprocessing: Preprocessing, average: str) -> Recipe:
    """Return the recipe of the first member, with name, description and preprocessing of the ensemble."""
    description = (
        f"The mean of the {average} of {len(runs)} runs. Their recipes are in members/; the first's is below."
    )
    update = {"name": name, "description": description, "origin": None, "preprocessing": preprocessing}
    return runs[0].recipe.model_copy(update=update)


def _record(runs: Sequence[Run], split: Split, average: str) -> RunRecord:
    """Return the record of the ensemble; times and parameters are sums over the members."""
    from gliascope.export.ensemble import merge_facts

    records = [trained.record for trained in runs]
    own = split.for_task(runs[0].recipe.task)
    licences = list(dict.fromkeys(record.weights_licence for record in records))
    members = {
        str(number): EnsembleMember(
            recipe=trained.recipe.name,
            seed=trained.recipe.seed,
            selects_on_validation=trained.recipe.selects_on_validation,
            split=trained.record.split,
            model_sha256=Bundle.load(trained.model).info.model_sha256,
        )
        for number, trained in enumerate(runs, start=1)
    }
    return records[0].model_copy(
        update={
            "version": __version__,
            "protocol": own.protocol,
            "split": own.training_hash,
            "store": ", ".join(dict.fromkeys(record.store for record in records)),
            "slices": dict(own.frame.group_by("subset").len().rows()),
            "data": own.subset_hashes,
            "weights_licence": None if None in licences else ", ".join(map(str, licences)),
            "environment": merge_facts([record.environment for record in records]),
            "results": RunResults(
                chosen_row=None,
                seconds=round(sum(map(_seconds, runs)), 1),
                parameters=sum(record.results.parameters for record in records if record.results),
            ),
            "ensemble": EnsembleRecord(average=average, members=members),
        }
    )


def _seconds(trained: Run) -> float:
    """Return the training time. A resumed run records its last session only, but all epochs."""
    assert trained.record.results is not None  # noqa: S101 (it is finished)
    return max(trained.record.results.seconds, float(sum(row.seconds for row in trained.history())))
