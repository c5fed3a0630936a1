"""Runs told to MLflow."""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gliascope.errors import GliascopeError
from gliascope.pipeline.runs import reported
from gliascope.recipes.run import Run

EXPERIMENT, TAG = "gliascope", "gliascope.run"
_BATCH = 100  # parameters that MLflow takes at once


def check_mlflow() -> None:
    """Raise GliascopeError, before the long work, where MLflow is not installed."""
    if find_spec("mlflow") is None:
        raise GliascopeError("--mlflow needs MLflow: pip install 'gliascope[mlflow]'")


def track(uri: str, runs: Sequence[Run], out: Path | None = None) -> None:
    """Log recipes as parameters, epochs and test results as metrics, and files, into an MLflow store.

    Artifacts are each run's model and, of the first, report and bundle in `out`. A run that is there already,
    told by what it was made from, is not logged again; one that an interruption left half logged is gone on
    with. Raises GliascopeError where the store cannot be used.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
        for number, trained in enumerate(runs):
            reports = [out / "report.html", out / "report.json", out / "bundle"] if out and not number else []
            _log(client, experiment, trained, [trained.model, *reports])
    except (MlflowException, OSError) as error:
        raise GliascopeError(f"--mlflow {uri}: {str(error).splitlines()[0]}") from None


def _log(client: Any, experiment: str, trained: Run, files: Sequence[Path]) -> None:
    made_from = f"{trained.recipe.model_dump_json()} {trained.record.split} {trained.record.started}"
    key = hashlib.blake2b(made_from.encode(), digest_size=10).hexdigest()
    same = client.search_runs([experiment], f"tags.`{TAG}` = '{key}'")
    if same and same[0].info.status == "FINISHED":
        return
    run = same[0] if same else client.create_run(experiment, run_name=trained.folder.name, tags={TAG: key})
    identifier = run.info.run_id
    parameters = _flat(trained.recipe.model_dump(mode="json"))
    for start in range(0, len(parameters), _BATCH):
        client.log_batch(identifier, params=parameters[start : start + _BATCH])
    client.log_batch(identifier, metrics=_metrics(trained))
    for file in files:
        if file.is_dir():
            client.log_artifacts(identifier, str(file), file.name)
        else:
            client.log_artifact(identifier, str(file))
    client.set_terminated(identifier)


def _flat(value: Any, name: str = "") -> list[Any]:
    """Leaves of a recipe as MLflow's parameters, named like `--set` names them."""
    from mlflow.entities import Param

    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, one in items for leaf in _flat(one, f"{name}.{key}" if name else str(key))]
    return [Param(name, str(value))]


def _metrics(trained: Run) -> list[Any]:
    """Figures of every epoch, and what came of the run."""
    from mlflow.entities import Metric

    results = trained.record.results
    assert results is not None  # noqa: S101 (it is finished)
    found: list[tuple[str, float, int]] = []
    for epoch, row in enumerate(trained.history(), start=1):
        found += [(key, value, epoch) for key, value in row.items() if key not in ("stage", "epoch")]
    final = {"training_seconds": results.seconds, "parameters": float(results.parameters)}
    if results.chosen is not None:
        final["chosen_epoch"] = float(results.chosen + 1)
    for key, number in (reported(trained) or {}).items():
        if isinstance(number, dict) and number.keys() == {"value", "low", "high"}:
            final |= {f"test_{key}{end}": number[name] for name, end in _ENDS.items()}
    found += [(key, value, 0) for key, value in final.items()]
    return [Metric(key, value, 0, step) for key, value, step in found]


_ENDS = {"value": "", "low": "_low", "high": "_high"}
