"""Processes of this machine as `Workers`, where threads would wait for the interpreter lock."""

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from gliascope.runtime.executors import PREFETCH, Executor, ThreadExecutor, cores

MIN_FILES = 4000  # files; of fewer, threads have done most before processes have started
IDLE_SECONDS = (
    10  # seconds without work after which one ends; where this process was killed, half a minute later
)

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def decoding_executor(executor: Executor | None, files: int) -> Iterator[Executor]:
    """Who decodes so many files: `workers`, or without them this machine's cores."""
    if executor is not None:
        yield executor
    elif cores() == 1 or files < MIN_FILES:
        yield ThreadExecutor(cores())
    else:
        made = ProcessExecutor(cores())
        try:
            yield made
        finally:
            made.stop()


class ProcessExecutor:
    """So many processes, which end with `stop`."""

    def __init__(self, count: int) -> None:
        from loky import ProcessPoolExecutor  # unlike the standard library's, it needs no `if __name__ == …`

        self.count = PREFETCH * count
        self._pool = ProcessPoolExecutor(count, timeout=IDLE_SECONDS)
        with _no_ctrl_c():
            self._pool.submit(int)  # starts them all

    def wrap(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """`function` in another process. Raises ChildProcessError where that dies."""

        def given(item: Item) -> Result:
            from loky.process_executor import BrokenProcessPool, ShutdownExecutorError

            try:
                result: Result = self._pool.submit(function, item).result()
            except (BrokenProcessPool, ShutdownExecutorError):
                told = "a process that reads files died (out of memory?); the same command goes on"
                raise ChildProcessError(errno.ECHILD, told) from None
            return result

        return given

    def stop(self) -> None:
        """Kill them; who waits for them gets a ChildProcessError."""
        self._pool.shutdown(kill_workers=True)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those that are started here leave it to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only that one may say so
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
