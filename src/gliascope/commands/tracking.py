"""Runs told to MLflow."""

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
_BATCH = 100  # parameters that MLflow takes at once
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def check_mlflow(uri: str) -> None:
    """Raise GliascopeError, before the long work, where MLflow is not installed or `uri` does not answer."""
    if find_spec("mlflow") is None:
        raise GliascopeError("--mlflow needs MLflow: pip install 'gliascope[mlflow]'")
    if not uri:  # to MLflow, a file in the current folder
        raise GliascopeError(
            "--mlflow: expected the address of a store but got none; leave it out, or name one"
        )
    with _impatient(), _told(uri):
        _experiment(uri)


def track(uri: str, runs: Sequence[Run], out: Path | None = None) -> None:
    """Log recipes as parameters, epochs and test results as metrics, and files, into an MLflow store.

    Artifacts are each run's model and, of the first, report and bundle in `out`. A run that is there already,
    told by what it was made from, is not logged again; one that an interruption left half logged is gone on
    with. Raises GliascopeError where the store cannot be used any more: what was trained is kept.
    """
    with _told(uri):
        client, experiment = _experiment(uri)
        for number, trained in enumerate(runs):
            reports = [out / "report.html", out / "report.json", out / "bundle"] if out and not number else []
            _log(client, experiment, trained, [trained.model, *reports])


def _experiment(uri: str) -> tuple[Any, str]:
    """A client of the store, and the number of our experiment, which is made where it is not there yet."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    return client, known.experiment_id if known else client.create_experiment(EXPERIMENT)


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """What keeps a store from being used, in one line. Databases and servers raise each their own kinds."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"it needs the module {error.name}, the driver of that database: install it"
        raise GliascopeError(f"--mlflow {uri}: {remedy}, or choose another store") from None
    except GliascopeError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GliascopeError(
            f"--mlflow {uri}: {reason}; give the address of a server that runs, or sqlite:///FILE"
        ) from None


@contextmanager
def _impatient() -> Iterator[None]:
    """By default MLflow asks a server that does not answer for four minutes."""
    before = {name: os.environ.get(name) for name in _PATIENCE}
    os.environ.update({name: before[name] or value for name, value in _PATIENCE.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


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
        figures = row.model_dump(exclude={"stage", "epoch"}, exclude_none=True)
        found += [(key, value, epoch) for key, value in figures.items()]
    final = {"training_seconds": results.seconds, "parameters": float(results.parameters)}
    if results.chosen is not None:
        final["chosen_epoch"] = float(results.chosen + 1)
    for key, number in protocol_report_of(trained) or ():
        if isinstance(number, Estimate):
            ends = {"": number.value, "_low": number.low, "_high": number.high}
            final |= {f"test_{key}{end}": value for end, value in ends.items() if value is not None}
    found += [(key, value, 0) for key, value in final.items()]
    return [Metric(key, value, 0, step) for key, value, step in found]
