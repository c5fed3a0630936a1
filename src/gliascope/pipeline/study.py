"""What an Optuna study found, as a recipe and a page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import yaml

from gliascope import __version__
from gliascope.data.split import Split
from gliascope.files import write_text
from gliascope.pages.tune import Axis, TrialRow, TuneData, write_tune
from gliascope.recipes import Recipe
from gliascope.recipes.space import Choices, Range, Space, as_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

BEST = "best.yaml"
_ENOUGH = 5  # complete trials, from which importances are worth a look


def completed(study: "Study") -> "list[FrozenTrial]":
    """Trials that came to their end."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def ended(study: "Study") -> "list[FrozenTrial]":
    """Those, and the pruned ones."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def write_study(
    study: "Study", space: Space, rounds: Sequence[Split], base: Recipe, best: Recipe, folder: Path
) -> None:
    """Write best.yaml, tune.html and tune.json. best: the recipe of the best trial; base: as it stands."""
    told = f"{base.name} with what did best in validation, of {len(ended(study))} trials."
    tuned = best.model_copy(update={"name": f"{base.name}-tuned", "description": told, "origin": None})
    text = yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False)
    write_text(folder / BEST, text)
    frame = pl.concat([split.part("val") for split in rounds])
    own = space.of(base)
    data = TuneData(
        recipe=base.name,
        sources=rounds[0].frame["source"].unique().sort().to_list(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        protocol=rounds[0].protocol,
        rounds=len(rounds),
        slices=frame.unique(["source", "path", "index"]).height,
        groups=frame["group"].n_unique(),
        objective=space.objective,
        axes=[_axis(key, field) for key, field in space.fields.items()],
        trials=[_row(trial) for trial in ended(study)],
        best=study.best_trial.number,
        baseline=next((trial.number for trial in completed(study) if trial.params == own), None),
        importances=_importances(study),
        tuned=str(folder / BEST),
    )
    write_tune(folder, data)


def _axis(key: str, field: Range | Choices) -> Axis:
    if isinstance(field, Choices):
        return Axis(key, choices=[as_text(value) for value in field.choices])
    return Axis(key, low=field.low, high=field.high, log=field.log)


def _row(trial: "FrozenTrial") -> TrialRow:
    return TrialRow(
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

    if len(completed(study)) < _ENOUGH:
        return {}
    return get_param_importances(study)
