"""The Optuna study of `tune`, and its results as a recipe and a page."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import yaml

from gliascope.errors import BusyError, RunError
from gliascope.recipes import Recipe
from gliascope.recipes.space import Choices, Range, SearchSpace, TrialValue, to_yaml
from gliascope.reports.pages.tune import write_tune
from gliascope.reports.tuning import Axis, Trial, Tuning
from gliascope.runtime.files import write_text
from gliascope.runtime.folder_lock import folder_lock
from gliascope.splits.split import Split

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STUDY, BEST = "study.db", "best.yaml"
_MIN_TRIALS = 5  # completed trials that importances are computed from


def open_study(folder: Path, space: SearchSpace, identity: str) -> "Study":
    """Make or continue a study. Raises RunError if the folder holds a study with another identity."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    # The path is not part of the URL, where a `?`, `%` or `{` of a folder's name has a meaning.
    connect = partial(sqlite3.connect, (folder / STUDY).resolve(), check_same_thread=False)
    study = optuna.create_study(
        storage=optuna.storages.RDBStorage(f"sqlite:///{STUDY}", engine_kwargs={"creator": connect}),
        study_name="gliascope",
        direction="maximize" if space.objective == "val_accuracy" else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )
    if study.user_attrs.get("identity", identity) != identity:
        raise RunError(f"{folder}: holds a study of another recipe, space or split; choose another folder")
    study.set_user_attr("identity", identity)
    return study


def requeue_dead_trials(
    study: "Study", space: SearchSpace, folder_of: Callable[[Mapping[str, object]], Path]
) -> None:
    """Queue those running trials again whose worker is dead, so that their folder is not locked.

    Optuna's heartbeats would compare times instead, which fails if a clock jumps.

    Parameters
    ----------
    study
        The study.
    space
        The space that is searched.
    folder_of
        Function from the values of a trial to its folder.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if set(trial.params) == set(space.fields):  # otherwise the trial has just begun
            with suppress(BusyError), folder_lock(folder_of(field_values(trial.params, space))):
                if is_running(study, trial.number):  # otherwise the trial has ended meanwhile
                    study.enqueue_trial(trial.params)
                    study.tell(trial.number, state=TrialState.FAIL)


def is_running(study: "Study", number: int) -> bool:
    """Return whether a trial has no result yet."""
    return not study.get_trials(deepcopy=False)[number].state.is_finished()


def seed_sampler(study: "Study", seed: int) -> None:
    """Seed the sampler by the number of trials, so that an interrupted search draws the same values."""
    import optuna

    living = [trial for trial in study.trials if trial.state != optuna.trial.TrialState.FAIL]
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(living))


def field_values(params: Mapping[str, TrialValue], space: SearchSpace) -> dict[str, object]:
    """Return the values of recipe fields for Optuna's parameters, which hold a choice as text."""
    values: dict[str, object] = dict(params)
    for key, drawn in params.items():
        field = space.fields[key]
        if isinstance(field, Choices):
            values[key] = next(value for value in field.choices if to_yaml(value) == drawn)
    return values


def completed_trials(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that ran to their end."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that were completed or pruned."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def write_study(
    study: "Study", space: SearchSpace, splits: Sequence[Split], *, base: Recipe, best: Recipe, folder: Path
) -> None:
    """Write best.yaml, tune.html and tune.json.

    Parameters
    ----------
    study
        A study with at least one completed trial.
    space
        The space that was searched.
    splits
        The splits that trials were trained on.
    base
        The unchanged recipe.
    best
        The recipe of the best trial.
    folder
        Where the results are written.
    """
    description = f"{base.name} with the best validation result of {len(finished_trials(study))} trials."
    update = {"name": f"{base.name}-tuned", "description": description, "origin": None, "tuned": True}
    tuned = best.model_copy(update=update)
    text = yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False)
    write_text(folder / BEST, text)
    frame = pl.concat([split.subset("val") for split in splits])
    own = space.values_of(base)
    data = Tuning(
        recipe=base.name,
        sources=tuple(splits[0].frame["source"].unique().sort()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        protocol=splits[0].protocol,
        folds=len(splits),
        slices=frame.unique(["source", "path", "index"]).height,
        groups=frame["group"].n_unique(),
        objective=space.objective,
        axes=tuple(_axis(key, field) for key, field in space.fields.items()),
        trials=tuple(_row(trial) for trial in finished_trials(study)),
        best=study.best_trial.number,
        baseline=next((trial.number for trial in completed_trials(study) if trial.params == own), None),
        importances=_importances(study),
        tuned=str(folder / BEST),
    )
    write_tune(folder, data)


def _axis(key: str, field: Range | Choices) -> Axis:
    if isinstance(field, Choices):
        return Axis(key=key, choices=tuple(to_yaml(value) for value in field.choices))
    return Axis(key=key, low=field.low, high=field.high, log=field.log)


def _row(trial: "FrozenTrial") -> Trial:
    return Trial(
        number=trial.number,
        # For a pruned trial, the last value that it reported.
        value=trial.values[0] if trial.values else next(reversed(trial.intermediate_values.values()), None),
        pruned=trial.state.name != "COMPLETE",
        epochs=len(trial.intermediate_values),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        values=dict(trial.params),
        ended_by=str(trial.user_attrs.get("why", "")),
    )


def _importances(study: "Study") -> dict[str, float]:
    """Return the importance of each field for good trials; empty if there are too few trials.

    References
    ----------
    Watanabe et al. (2023). PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
    subspaces. IJCAI.
    """
    from optuna.importance import get_param_importances

    if len(completed_trials(study)) < _MIN_TRIALS:
        return {}
    return get_param_importances(study)
