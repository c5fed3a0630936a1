"""A Ray cluster as `Workers`: blocks of files are its tasks, everything else stays as it is."""

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
    """The machines of the cluster that this process is connected to, a task a core."""

    def __init__(self) -> None:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.count = PREFETCH * max(1, int(resources.get("CPU", 1)))
        self._running: set[Any] = set()

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """`function` as a task of the cluster; where its worker dies, it is tried again by another.

        Function, items and results must be picklable. Raises ConnectionError where the cluster fails,
        else whatever the function raises.
        """
        task: Any = ray.remote(num_cpus=1)(_work)
        # Sent to each worker once and not with every item: it may hold a model.
        sent = [ray.put(function)]

        def given(item: Item) -> Result:
            reference = task.remote(sent, item, str(Path.cwd()), __version__)
            self._running.add(reference)
            try:
                result: Result = ray.get(reference)
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:
                reason = str(error).strip().splitlines()[0]
                # Not ours, which would forget what is done.
                told = f"the Ray cluster failed: {reason}; the same command goes on where it stopped"
                raise ConnectionError(errno.ECONNABORTED, told) from None
            finally:
                self._running.discard(reference)
            return result

        return given

    def stop(self) -> None:
        """Cancel the tasks; who waits for them gets a ConnectionError."""
        for reference in list(self._running):
            ray.cancel(reference, force=True)  # else it ends its block first


@contextmanager
def connect(address: str) -> Iterator[RayExecutor]:
    """The cluster at an address; AUTO: that of RAY_ADDRESS or this machine, which is made if there is none.

    Raises GliascopeError where none answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers by default
    try:
        ray.init(
            None if address == AUTO else address,
            include_dashboard=False if address == AUTO else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            # A task is given one core, whatever its machine has.
            runtime_env={"env_vars": {"GLIASCOPE_CORES": "1"}},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GliascopeError(
            f"{address}: no Ray cluster there ({reason}); `ray start --head` makes one"
        ) from None
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


def _work(sent: Sequence[Any], item: Any, folder: str, version: str) -> Any:
    """What a worker does. folder: where names of files start from, if it is there."""
    if version != __version__:
        raise GliascopeError(f"the Ray cluster has Gliascope {__version__}, and you {version}; install one")
    with suppress(OSError):
        os.chdir(folder)
    return _function(sent[0])(item)


@lru_cache(maxsize=1)
def _function(reference: Any) -> Callable[[Any], Any]:
    """What `Cluster.give` was given."""
    function: Callable[[Any], Any] = ray.get(reference)
    return function
