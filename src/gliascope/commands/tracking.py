"""Log runs to an MLflow store."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gliascope.commands.runs import protocol_report_of
from gliascope.errors import GliascopeError
from gliascope.evaluation.estimate import Estimate
from gliascope.recipes.run import Run

EXPERIMENT, TAG = "gliascope", "gliascope.run"
_BATCH = 100  # the most parameters that MLflow takes in one call
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def check_mlflow(uri: str) -> None:
    """Raise GliascopeError before the long work if MLflow is missing or the store does not respond."""
    if find_spec("mlflow") is None:
        raise GliascopeError("--mlflow needs MLflow: pip install 'gliascope[mlflow]'")
    if not uri:  # MLflow would take this for a file in the current folder
        raise GliascopeError(
            "--mlflow: expected the address of a store but got none; give an address, or leave --mlflow out"
        )
    with _short_timeouts(), _store_errors(uri):
        _experiment(uri)


def track(uri: str, runs: Sequence[Run], out: Path | None = None) -> None:
    """Log runs into an MLflow store: recipes as parameters, epochs and test results as metrics, and files.

    A run that is in the store already is not logged again, and a run that was interrupted while it was logged
    is completed.

    Parameters
    ----------
    uri
        Address of the store.
    runs
        Finished runs. The model of each is logged as an artifact.
    out
        The folder whose report and bundle are logged as artifacts of the first run.

    Raises
    ------
    GliascopeError
        If the store cannot be used any more. The trained runs stay as they are.
    """
    with _store_errors(uri):
        client, experiment = _experiment(uri)
        for number, trained in enumerate(runs):
            reports = [out / "report.html", out / "report.json", out / "bundle"] if out and not number else []
            _log(client, experiment, trained, [trained.model, *reports])


def _experiment(uri: str) -> tuple[Any, str]:
    """Return a client of the store and the id of the experiment, which is made if it is missing."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    return client, known.experiment_id if known else client.create_experiment(EXPERIMENT)


@contextmanager
def _store_errors(uri: str) -> Iterator[None]:
    """Turn any error into a GliascopeError of one line; each kind of store has its own errors."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"install the module {error.name}, the driver of that database"
        raise GliascopeError(f"--mlflow {uri}: {remedy}, or choose another store") from None
    except GliascopeError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GliascopeError(
            f"--mlflow {uri}: {reason}; give the address of a server that runs, or sqlite:///FILE"
        ) from None


@contextmanager
def _short_timeouts() -> Iterator[None]:
    """Shorten MLflow's timeouts: by default it asks a server that does not respond for four minutes."""
    before = {name: os.environ.get(name) for name in _PATIENCE}
    os.environ.update({name: before[name] or value for name, value in _PATIENCE.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _log(client: Any, experiment: str, trained: Run, files: Sequence[Path]) -> None:
    """Log one run, unless the store has it already."""
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
    """Return the leaves of a recipe as MLflow parameters, with the names that `--set` takes."""
    from mlflow.entities import Param

    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, one in items for leaf in _flat(one, f"{name}.{key}" if name else str(key))]
    return [Param(name, str(value))]


def _metrics(trained: Run) -> list[Any]:
    """Return the figures of every epoch and the final results as MLflow metrics."""
    from mlflow.entities import Metric

    results = trained.record.results
    assert results is not None  # noqa: S101 (it is finished)
    values: list[tuple[str, float, int]] = []
    for epoch, row in enumerate(trained.history(), start=1):
        figures = row.model_dump(exclude={"stage", "epoch"}, exclude_none=True)
        values += [(key, value, epoch) for key, value in figures.items()]
    final = {"training_seconds": results.seconds, "parameters": float(results.parameters)}
    if results.chosen_row is not None:
        final["chosen_epoch"] = float(results.chosen_row + 1)
    for key, number in protocol_report_of(trained) or ():
        if isinstance(number, Estimate):
            ends = {"": number.value, "_low": number.low, "_high": number.high}
            final |= {f"test_{key}{end}": value for end, value in ends.items() if value is not None}
    values += [(key, value, 0) for key, value in final.items()]
    return [Metric(key, value, 0, step) for key, value, step in values]
