"""Recipe + Space + Splits in, a study and its best recipe out. What tests or calibrates is never loaded."""

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
from gliascope.recipes.space import Choices, Space, as_text, override
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

    from gliascope.training.history import Epoch

SLICE_KEY = ["source", "path", "index"]
Stores = Callable[[Preprocessing], tuple[Store, list[Split]]]


@dataclass(frozen=True, slots=True)
class TuningJob:
    """What all trials have in common. rounds: splits as `untested`; slices: of the catalogue."""

    name: str
    overrides: Sequence[str]
    space: Space
    splits: Sequence[Split]
    slices: pl.DataFrame
    folder: Path
    cache: bool

    def recipe(self, values: Mapping[str, object]) -> Recipe:
        """The recipe with these fields. Raises RecipeError where they do not go together."""
        return load_recipe(self.name, [*self.overrides, *(override(*item) for item in values.items())])

    def trial_folder(self, values: Mapping[str, object]) -> Path:
        """Folder of a trial, named by what it is: one that was interrupted is taken up by another number."""
        name = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()
        return self.folder / "trials" / name

    @property
    def identity(self) -> str:
        """What a study must be of to be gone on with."""
        own = [part.model_dump(mode="json") for part in (self.recipe({}), self.space)]
        return json.dumps([*own, *(split.training for split in self.splits)], sort_keys=True)


def tune(
    name: str,
    overrides: Sequence[str],
    space: Space,
    catalog: Catalog,
    *,
    splits: Sequence[Split],
    folder: Path,
    trials: int,
    seed: int = 0,
    cache: bool = True,
    workers: Executor | None = None,
) -> None:
    """Search `space` for the values with which recipe `name` does best in validation, for `trials` trials.

    Each trains on the training part of every round in `splits`, which are of one protocol, and is judged by
    the mean over those of their validation slices that choose; the others are left to calibrate what is
    trained by the best recipe, which says that it is tuned. The first is the recipe as it stands, where the
    space holds it. What does worse than the median of the trials before is pruned. `folder` gets study.db
    (Optuna's own, in SQLite), best.yaml, tune.html and tune.json. After an interruption the same call goes
    on; several at once share the work, as do workers, who need `folder` and the cache under the same paths.
    Raises RecipeError for a space that does not fit the recipe, SplitError as `untested`, RunError where
    `folder` holds another study, GliascopeError where no trial comes to its end.
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
            f"{name}: watches the test part, which tuning never sees; add --set watch_test=false"
        )
    check_cache()
    check_writable(folder)
    rounds = without_test_slices([split.for_task(base.task) for split in splits])
    used = pl.concat([split.frame.select(SLICE_KEY) for split in rounds]).unique()
    slices = catalog.frame.join(used, on=SLICE_KEY, how="semi", maintain_order="left")
    job = TuningJob(name, overrides, space, rounds, slices, folder, cache and not space.remakes_activations)
    check_trainable(base, len(rounds[0].classes))
    study = open_study(folder, space, job.identity)
    if not study.trials:
        _enqueue(study, space, base)
    search = partial(_search, job=job, trials=trials, seed=seed)
    try:
        if workers is None:
            search(0)
        else:
            list(map_in_order(workers.wrap(search), range(workers.count), workers))
    finally:  # an interruption shows what there is
        _write(study, job)
        remove_stale_locks(
            job.folder.glob("trials/*")
        )  # killed in the instant after its end, a trial is left locked
    if not completed_trials(study):
        reason = study.trials[0].user_attrs.get("why", "all were pruned")
        raise GliascopeError(f"{folder}: no trial came to its end; the first: {reason}")


def without_test_slices(splits: Sequence[Split]) -> list[Split]:
    """Different trainings, without their test parts and the validation slices that calibrate.

    Raises SplitError where one tests what another trains on: then tuning would see its test slices.
    """
    rounds = list({split.training: split for split in reversed(splits)}.values())[::-1]
    frame = pl.concat([split.frame.select(*SLICE_KEY, "part") for split in rounds])
    tests, seen = frame.filter(part="test"), frame.filter(pl.col("part") != "test")
    if len(rounds) > 1 and tests.join(seen, on=SLICE_KEY, how="semi").height:
        raise SplitError(
            f"protocol {rounds[0].protocol!r} tests in one round what trains another, so tuning would see its"
            " test slices; tune on official-clean, by --repeats on several validation parts, or on grouped"
        )
    frames = [exclude_calibrating(split.frame, chooses=True) for split in rounds]
    return [Split(frame.filter(pl.col("part") != "test")) for frame in frames]


def _search(worker: int, job: TuningJob, trials: int, seed: int) -> None:
    """What one of several workers does, or the only one, until there are enough trials."""
    from gliascope.training.environment import keep_freed_memory

    keep_freed_memory()
    study = open_study(job.folder, job.space, job.identity)
    # Trials of one preprocessing share its store, and agree on which slices are lost.
    stores = cache(partial(store_splits, job.slices, job.splits))
    while len(finished_trials(study)) < trials:
        requeue_dead_trials(study, job.space, job.trial_folder)
        seed_sampler(study, seed + 7919 * worker)
        _try(study, job, stores)


def _enqueue(study: "Study", space: Space, base: Recipe) -> None:
    if (values := space.of(base)) is None:
        note("the recipe as it stands lies outside the space, so no trial shows it")
    else:
        study.enqueue_trial(values)


def _try(study: "Study", job: TuningJob, stores: Stores) -> None:
    """One trial: its value is the mean over the rounds of what validation says.

    It is told while its folder is held: a trial whose folder nobody holds is taken for dead.
    """
    import optuna

    trial = study.ask()
    drawn = {key: _draw(trial, key, job.space) for key in job.space.fields}
    with folder_lock(job.trial_folder(drawn), wait=True):  # of a worker that drew the same
        if not is_running(study, trial.number):
            return  # SQLite gave two workers the same one, or another took this one for dead just before
        try:
            same = next((one for one in completed_trials(study) if one.params == trial.params), None)
            value = same.values[0] if same else _train(trial, job, drawn, stores)
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


def _draw(trial: "Trial", key: str, space: Space) -> Any:
    field = space.fields[key]
    if isinstance(field, Choices):  # Optuna knows text and numbers; a choice may be a list
        texts = [as_text(value) for value in field.choices]
        return field.choices[texts.index(trial.suggest_categorical(key, texts))]
    if field.whole:
        return trial.suggest_int(
            key, int(field.low), int(field.high), step=int(field.step or 1), log=field.log
        )
    return trial.suggest_float(key, field.low, field.high, step=field.step, log=field.log)


def _train(trial: "Trial", job: TuningJob, drawn: dict[str, Any], stores: Stores) -> float:
    import optuna

    from gliascope.models.backbones import complete_recipe
    from gliascope.training.history import chosen_epoch
    from gliascope.training.trial import train_and_validate

    recipe, place = complete_recipe(job.recipe(drawn)), job.trial_folder(drawn)
    images, rounds = stores(recipe.preprocessing)
    longest = sum(stage.epochs for stage in recipe.stages)
    values: list[float] = []  # of the rounds that are done
    reported = 0

    def value(history: Sequence["Epoch"]) -> float:
        return float(getattr(history[chosen_epoch(history, recipe.keep)], job.space.objective))

    def watch(history: Sequence["Epoch"]) -> None:
        nonlocal reported
        before = longest * len(values)
        for step in range(max(reported, before) + 1, before + len(history) + 1):
            so_far = [*values, value(history[: step - before])]
            trial.report(sum(so_far) / len(so_far), step)
            reported = step
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        for number, split in enumerate(rounds):
            with folder_lock(place / str(number)):
                done = train_and_validate(recipe, split, images, place / str(number), watch, job.cache)
            values.append(value(done))
    except (optuna.TrialPruned, DivergedError):
        _forget(place)
        raise
    _forget(place)
    return sum(values) / len(values)


def _forget(place: Path) -> None:
    """Remove weights: a trial is judged by its figures, and only an interrupted one goes on."""
    for weights in place.rglob("*.safetensors"):
        weights.unlink()


def _write(study: "Study", job: TuningJob) -> None:
    if not completed_trials(study):
        return
    with folder_lock(job.folder, wait=True):  # of workers beside this one
        best = field_values(study.best_params, job.space)
        write_study(study, job.space, job.splits, job.recipe({}), job.recipe(best), job.folder)
