"""Search for better settings of a recipe by validation alone.

Slices that test or calibrate are never loaded.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gliascope.commands.tune_study import (
    completed_trials,
    field_values,
    finished_trials,
    is_running,
    open_study,
    requeue_dead_trials,
    seed_sampler,
    write_study,
)
from gliascope.dataset.catalog import Catalog
from gliascope.errors import (
    DivergedError,
    GliascopeError,
    RecipeError,
    RunError,
    SplitError,
    WeightsError,
)
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.space import Choices, SearchSpace, override_text, to_yaml
from gliascope.runtime.executors import Executor, map_in_order
from gliascope.runtime.files import check_writable
from gliascope.runtime.folder_lock import folder_lock, remove_stale_locks
from gliascope.runtime.progress import note
from gliascope.splits.split import Split
from gliascope.splits.validation import exclude_calibrating
from gliascope.store.store import Store, check_cache
from gliascope.store.store_splits import store_splits

if TYPE_CHECKING:
    from optuna import Study, Trial

    from gliascope.recipes.run import EpochMetrics

SLICE_KEY = ["source", "path", "index"]
Stores = Callable[[Preprocessing], tuple[Store, list[Split]]]


@dataclass(frozen=True, slots=True)
class TuningJob:
    """What all trials have in common.

    Parameters
    ----------
    name, overrides
        The recipe, and KEY=VALUE settings for it.
    space
        The fields that are searched.
    splits
        Splits without test slices, as `without_test_slices` returns them. Each trial trains on each of them.
    slices
        Rows of the catalogue that the splits use.
    folder
        Where the study is written.
    cache
        Whether outputs of frozen layers are kept on disk.
    """

    name: str
    overrides: Sequence[str]
    space: SearchSpace
    splits: Sequence[Split]
    slices: pl.DataFrame
    folder: Path
    cache: bool

    def recipe(self, values: Mapping[str, object]) -> Recipe:
        """Return the recipe with these values. Raises RecipeError if the values contradict each other."""
        return load_recipe(self.name, [*self.overrides, *(override_text(*item) for item in values.items())])

    def trial_folder(self, values: Mapping[str, object]) -> Path:
        """Return the folder of a trial, named by its values, so that a repeated trial continues there."""
        name = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()
        return self.folder / "trials" / name

    @property
    def identity(self) -> str:
        """Text that must be the same for a study to be continued."""
        own = [part.model_dump(mode="json") for part in (self.recipe({}), self.space)]
        return json.dumps([*own, *(split.training_hash for split in self.splits)], sort_keys=True)


def tune(
    name: str,
    overrides: Sequence[str],
    space: SearchSpace,
    catalog: Catalog,
    *,
    splits: Sequence[Split],
    folder: Path,
    trials: int,
    seed: int = 0,
    cache: bool = True,
    executor: Executor | None = None,
) -> None:
    """Search for the values of recipe fields that give the best validation result.

    Each trial trains on the training subset of every split, and its value is the mean over the splits of the
    objective on the validation slices that choose. The validation slices that calibrate are not used. The
    first trial is the unchanged recipe, if the space contains it. Trials worse than the median of earlier
    trials are pruned. The folder gets study.db (SQLite, written by Optuna), best.yaml, tune.html and
    tune.json. After an interruption the same call continues, and several calls at once share the work.

    Parameters
    ----------
    name
        Name of the recipe, or its YAML file.
    overrides
        KEY=VALUE settings for the recipe.
    space
        The fields to search, with their ranges or choices.
    catalog
        The catalogue of the splits.
    splits
        Splits of one protocol.
    folder
        Where the study is written.
    trials
        Number of trials in all, including those of earlier calls.
    seed
        Seed of the search.
    cache
        Whether outputs of frozen layers are kept on disk.
    executor
        The executor that runs trials, which needs `folder` and the cache under the same paths.

    Raises
    ------
    RecipeError
        If the space does not fit the recipe.
    SplitError
        If tuning would see test slices; see `without_test_slices`.
    RunError
        If `folder` holds another study.
    GliascopeError
        If no trial is completed.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise RunError(
            "torchrun would do the same trials in every process; start `tune` several times instead"
        )
    from gliascope.training.checks import check_trainable

    space.check(name, overrides)
    base = load_recipe(name, overrides)
    if base.watch_test:
        raise RecipeError(
            f"{name}: watches the test subset, which tuning never sees; add --set watch_test=false"
        )
    check_cache()
    check_writable(folder)
    trial_splits = without_test_slices([split.for_task(base.task) for split in splits])
    used = pl.concat([split.frame.select(SLICE_KEY) for split in trial_splits]).unique()
    slices = catalog.frame.join(used, on=SLICE_KEY, how="semi", maintain_order="left")
    keep_activations = cache and not space.remakes_activations
    job = TuningJob(name, overrides, space, trial_splits, slices, folder, keep_activations)
    check_trainable(base, len(trial_splits[0].classes))
    study = open_study(folder, space, job.identity)
    if not study.trials:
        _enqueue(study, space, base)
    search = partial(_search, job=job, trials=trials, seed=seed)
    try:
        if executor is None:
            search(0)
        else:
            list(map_in_order(executor.wrap(search), range(executor.count), executor))
    finally:  # after an interruption, the page shows the trials so far
        _write(study, job)
        remove_stale_locks(
            job.folder.glob("trials/*")
        )  # killed in the instant after its end, a trial is left locked
    if not completed_trials(study):
        reason = study.trials[0].user_attrs.get("why", "all were pruned")
        raise GliascopeError(f"{folder}: no trial came to its end; the first: {reason}")


def without_test_slices(splits: Sequence[Split]) -> list[Split]:
    """Return the different trainings, without test slices and without the validation slices that calibrate.

    Raises SplitError if one split tests slices that another one trains on, so that tuning would see test
    slices.
    """
    different = list({split.training_hash: split for split in reversed(splits)}.values())[::-1]
    frame = pl.concat([split.frame.select(*SLICE_KEY, "subset") for split in different])
    tests, seen = frame.filter(subset="test"), frame.filter(pl.col("subset") != "test")
    if len(different) > 1 and tests.join(seen, on=SLICE_KEY, how="semi").height:
        raise SplitError(
            f"protocol {different[0].protocol!r} tests in one fold slices that train another, so tuning "
            "would see test slices; tune on grouped, or on official-clean with --repeats for several "
            "validation subsets"
        )
    frames = [exclude_calibrating(split.frame, selects=True) for split in different]
    return [Split(frame.filter(pl.col("subset") != "test")) for frame in frames]


def _search(worker: int, job: TuningJob, trials: int, seed: int) -> None:
    """Run trials, as one of several workers or the only one, until there are enough."""
    from gliascope.training.environment import keep_freed_memory

    keep_freed_memory()
    study = open_study(job.folder, job.space, job.identity)
    # Trials with the same preprocessing share one store, and so lose the same unreadable slices.
    stores = cache(partial(store_splits, job.slices, job.splits))
    while len(finished_trials(study)) < trials:
        requeue_dead_trials(study, job.space, job.trial_folder)
        seed_sampler(study, seed + 7919 * worker)
        _try(study, job, stores)


def _enqueue(study: "Study", space: SearchSpace, base: Recipe) -> None:
    if (values := space.values_of(base)) is None:
        note("the unchanged recipe lies outside the space, so no trial shows its result")
    else:
        study.enqueue_trial(values)


def _try(study: "Study", job: TuningJob, stores: Stores) -> None:
    """Run one trial.

    Its result is reported to the study while its folder is locked, because another worker takes a running
    trial with an unlocked folder for dead.
    """
    import optuna

    trial = study.ask()
    values = {key: _draw(trial, key, job.space) for key in job.space.fields}
    with folder_lock(job.trial_folder(values), wait=True):  # for a worker that drew the same values
        if not is_running(study, trial.number):
            return  # SQLite gave two workers the same trial, or another worker just took this one for dead
        try:
            same = next((one for one in completed_trials(study) if one.params == trial.params), None)
            value = same.values[0] if same else _train(trial, job, values, stores)
        except (optuna.TrialPruned, DivergedError, RecipeError, WeightsError) as error:
            if str(error):
                trial.set_user_attr("why", str(error))
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except KeyboardInterrupt:
            study.enqueue_trial(trial.params)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        else:
            study.tell(trial, value)


def _draw(trial: "Trial", key: str, space: SearchSpace) -> Any:
    """Let Optuna choose the value of a field."""
    field = space.fields[key]
    if isinstance(field, Choices):  # Optuna takes text and numbers only, but a choice may be a list
        texts = [to_yaml(value) for value in field.choices]
        return field.choices[texts.index(trial.suggest_categorical(key, texts))]
    if field.is_integer:
        return trial.suggest_int(
            key, int(field.low), int(field.high), step=int(field.step or 1), log=field.log
        )
    return trial.suggest_float(key, field.low, field.high, step=field.step, log=field.log)


def _train(trial: "Trial", job: TuningJob, drawn: dict[str, Any], stores: Stores) -> float:
    import optuna

    from gliascope.models.backbones import complete_recipe
    from gliascope.training.history import chosen_epoch
    from gliascope.training.trial import train_and_validate

    """Train on every split and return the mean objective; may raise TrialPruned after any epoch."""
    recipe, folder = complete_recipe(job.recipe(drawn)), job.trial_folder(drawn)
    images, splits = stores(recipe.preprocessing)
    longest = sum(stage.epochs for stage in recipe.stages)
    values: list[float] = []  # of the splits that are done
    reported = 0

    def value(history: Sequence["EpochMetrics"]) -> float:
        return float(getattr(history[chosen_epoch(history, recipe.keep)], job.space.objective))

    def watch(history: Sequence["EpochMetrics"]) -> None:
        nonlocal reported
        before = longest * len(values)
        for step in range(max(reported, before) + 1, before + len(history) + 1):
            so_far = [*values, value(history[: step - before])]
            trial.report(sum(so_far) / len(so_far), step)
            reported = step
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        for number, split in enumerate(splits):
            with folder_lock(folder / str(number)):
                history = train_and_validate(
                    recipe, split, images, folder / str(number), on_epoch=watch, cache=job.cache
                )
            values.append(value(history))
    except (optuna.TrialPruned, DivergedError):
        _remove_weights(folder)
        raise
    _remove_weights(folder)
    return sum(values) / len(values)


def _remove_weights(folder: Path) -> None:
    """Remove the weights of a finished trial, of which only the figures are needed."""
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()


def _write(study: "Study", job: TuningJob) -> None:
    """Write the results so far, if any trial is completed."""
    if not completed_trials(study):
        return
    with folder_lock(job.folder, wait=True):  # other workers write, too
        best = field_values(study.best_params, job.space)
        write_study(
            study, job.space, job.splits, base=job.recipe({}), best=job.recipe(best), folder=job.folder
        )
