"""What an Optuna study found, as a recipe and a page."""

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
from gliascope.recipes.space import Choices, Drawn, Range, Space, as_text
from gliascope.reports.pages.tune import write_tune
from gliascope.reports.tuning import Axis, Trial, Tuning
from gliascope.runtime.files import write_text
from gliascope.runtime.folder_lock import folder_lock
from gliascope.splits.split import Split

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STUDY, BEST = "study.db", "best.yaml"
_ENOUGH = 5  # complete trials, from which importances are worth a look


def open_study(folder: Path, space: Space, identity: str) -> "Study":
    """Make or go on with a study. Raises RunError where `folder` holds one of another identity."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    # Not by URL: a `?`, `%` or `{` of the folder's name would mean something else there.
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
    study: "Study", space: Space, folder_of: Callable[[Mapping[str, object]], Path]
) -> None:
    """Take up trials whose worker is dead: nobody holds the folder that `place` gives their values.

    Not told by the time since they were heard of, as Optuna's heartbeats do: clocks jump.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if set(trial.params) == set(space.fields):  # else it has just begun
            with suppress(BusyError), folder_lock(folder_of(field_values(trial.params, space))):
                if is_running(study, trial.number):  # else it has come to its end meanwhile
                    study.enqueue_trial(trial.params)
                    study.tell(trial.number, state=TrialState.FAIL)


def is_running(study: "Study", number: int) -> bool:
    """Whether nobody has told a trial's end."""
    return not study.get_trials(deepcopy=False)[number].state.is_finished()


def seed_sampler(study: "Study", seed: int) -> None:
    """Let what is drawn next follow from what came before, interrupted or not."""
    import optuna

    living = [trial for trial in study.trials if trial.state != optuna.trial.TrialState.FAIL]
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(living))


def field_values(params: Mapping[str, Drawn], space: Space) -> dict[str, object]:
    """Values of the recipe's fields for Optuna's parameters, which hold a choice as text."""
    values: dict[str, object] = dict(params)
    for key, drawn in params.items():
        field = space.fields[key]
        if isinstance(field, Choices):
            values[key] = next(value for value in field.choices if as_text(value) == drawn)
    return values


def completed_trials(study: "Study") -> "list[FrozenTrial]":
    """Trials that came to their end."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    """Those, and the pruned ones."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def write_study(
    study: "Study", space: Space, splits: Sequence[Split], base: Recipe, best: Recipe, folder: Path
) -> None:
    """Write best.yaml, tune.html and tune.json. best: the recipe of the best trial; base: as it stands."""
    told = f"{base.name} with what did best in validation, of {len(finished_trials(study))} trials."
    news = {"name": f"{base.name}-tuned", "description": told, "origin": None, "tuned": True}
    tuned = best.model_copy(update=news)
    text = yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False)
    write_text(folder / BEST, text)
    frame = pl.concat([split.subset("val") for split in splits])
    own = space.of(base)
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
        return Axis(key=key, choices=tuple(as_text(value) for value in field.choices))
    return Axis(key=key, low=field.low, high=field.high, log=field.log)


def _row(trial: "FrozenTrial") -> Trial:
    return Trial(
        number=trial.number,
        # Of a pruned one, what it had come to.
        value=trial.values[0] if trial.values else next(reversed(trial.intermediate_values.values()), None),
        pruned=trial.state.name != "COMPLETE",
        epochs=len(trial.intermediate_values),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        values=dict(trial.params),
        why=str(trial.user_attrs.get("why", "")),
    )


def _importances(study: "Study") -> dict[str, float]:
    """Share of each field in what sets good trials apart (PED-ANOVA, Watanabe et al. 2023); empty for few."""
    from optuna.importance import get_param_importances

    if len(completed_trials(study)) < _ENOUGH:
        return {}
    return get_param_importances(study)
