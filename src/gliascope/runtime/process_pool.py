"""An Executor of processes on this machine, for work that the interpreter lock would slow down in threads."""

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from gliascope.runtime.executors import PREFETCH, Executor, ThreadExecutor, cores

MIN_FILES = 4000  # for fewer files, starting processes takes longer than it saves
IDLE_SECONDS = 10  # a process without work ends after this time; up to 30 s later if this process was killed

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def decoding_executor(executor: Executor | None, files: int) -> Iterator[Executor]:
    """Yield the executor that decodes `files` files, and stop it at the end if it was created here.

    Parameters
    ----------
    executor
        Used if it is given. Otherwise: processes for MIN_FILES files or more, else threads.
    files
        Number of files.
    """
    if executor is not None:
        yield executor
    elif cores() == 1 or files < MIN_FILES:
        yield ThreadExecutor(cores())
    else:
        processes = ProcessExecutor(cores())
        try:
            yield processes
        finally:
            processes.stop()


class ProcessExecutor:
    """An Executor of `count` processes, which run until `stop` is called or they have been idle."""

    def __init__(self, count: int) -> None:
        from loky import ProcessPoolExecutor  # unlike the standard library's, it needs no `if __name__ == …`

        self.count = PREFETCH * count
        self._pool = ProcessPoolExecutor(count, timeout=IDLE_SECONDS)
        with _no_ctrl_c():
            self._pool.submit(int)  # starts them all

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """Return a function that runs `function` in another process.

        The returned function raises ChildProcessError if that process dies.
        """

        def run_in_process(item: Item) -> Result:
            from loky.process_executor import BrokenProcessPool, ShutdownExecutorError

            try:
                result: Result = self._pool.submit(function, item).result()
            except (BrokenProcessPool, ShutdownExecutorError):
                message = (
                    "a process that reads files died (out of memory?); run the same command again to go on"
                )
                raise ChildProcessError(errno.ECHILD, message) from None
            return result

        return run_in_process

    def stop(self) -> None:
        """Kill the processes; calls that wait for them raise ChildProcessError."""
        self._pool.shutdown(kill_workers=True)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Let processes that start within the block ignore Ctrl-C, which this process handles for them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
