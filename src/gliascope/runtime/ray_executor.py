"""An Executor that runs chunks of files as tasks of a Ray cluster."""

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from gliascope import __version__
from gliascope.errors import GliascopeError
from gliascope.runtime.executors import PREFETCH

AUTO = "auto"

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayExecutor:
    """An Executor on the Ray cluster that this process is connected to: one task per core."""

    def __init__(self) -> None:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.count = PREFETCH * max(1, int(resources.get("CPU", 1)))
        self._running: set[Any] = set()

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """Return a function that runs `function` as a task of the cluster.

        If a machine dies, Ray repeats the task on another. Function, items and results must be picklable. The
        returned function raises ConnectionError if the cluster fails, else whatever `function` raises.
        """
        task: Any = ray.remote(num_cpus=1)(_work)
        # Sent once to each process and not with every item, because it may hold a model.
        sent = [ray.put(function)]

        def run_on_cluster(item: Item) -> Result:
            reference = task.remote(sent, item, str(Path.cwd()), __version__)
            self._running.add(reference)
            try:
                result: Result = ray.get(reference)
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:
                reason = str(error).strip().splitlines()[0]
                # Not a GliascopeError: `folder_lock` would delete the partial results.
                message = f"the Ray cluster failed: {reason}; run the same command again to go on"
                raise ConnectionError(errno.ECONNABORTED, message) from None
            finally:
                self._running.discard(reference)
            return result

        return run_on_cluster

    def stop(self) -> None:
        """Cancel all tasks; calls that wait for them raise ConnectionError."""
        for reference in list(self._running):
            ray.cancel(reference, force=True)  # without force, a task would finish its chunk first


@contextmanager
def connect(address: str) -> Iterator[RayExecutor]:
    """Connect to a Ray cluster; yield its executor and disconnect at the end.

    Parameters
    ----------
    address
        Address of the cluster. AUTO stands for the one in RAY_ADDRESS, else the one on this machine, which is
        started if there is none.

    Raises
    ------
    GliascopeError
        If no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray sends usage statistics by default
    try:
        ray.init(
            None if address == AUTO else address,
            include_dashboard=False if address == AUTO else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            # Each task uses one core, however many its machine has.
            runtime_env={"env_vars": {"GLIASCOPE_CORES": "1"}},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GliascopeError(
            f"{address}: no Ray cluster there ({reason}); `ray start --head` starts one"
        ) from None
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


def _work(sent: Sequence[Any], item: Any, folder: str, version: str) -> Any:
    """Call the function stored in Ray with `item`, in the working folder of the caller if it exists."""
    if version != __version__:
        raise GliascopeError(f"the Ray cluster has Gliascope {__version__}, and you {version}; install one")
    with suppress(OSError):
        os.chdir(folder)
    return _function(sent[0])(item)


@lru_cache(maxsize=1)
def _function(reference: Any) -> Callable[[Any], Any]:
    """Fetch the function that `RayExecutor.wrap` stored in Ray."""
    function: Callable[[Any], Any] = ray.get(reference)
    return function
