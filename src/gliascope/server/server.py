"""The server process: uvicorn, its socket, and the handling of signals."""

import asyncio
import copy
import logging
import resource
import signal
import socket
import time
from collections.abc import Coroutine, Sequence
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

from gliascope import RESEARCH_USE
from gliascope.errors import GliascopeError
from gliascope.server.app import create_app
from gliascope.server.context import Context
from gliascope.server.models import ModelSource
from gliascope.server.settings import Settings

_BACKLOG = 2048
_KEEP_ALIVE = 20
_OPEN_FILES = 65_536
_LAST_SECONDS = 2
_log = logging.getLogger(__name__)


def run(settings: Settings, sources: Sequence[ModelSource]) -> None:
    """Serve bundles until SIGTERM or Ctrl-C. SIGHUP reloads the bundles and the key file.

    Parameters
    ----------
    settings
        Settings of the server.
    sources
        Bundles to serve; the first is the default model.

    Raises
    ------
    GliascopeError
        If the address is in use, or a bundle or the key file cannot be loaded.
    """
    _raise_open_files()
    app = create_app(settings, sources)
    _Server(app, settings).run(sockets=[_listen(settings)])


class _Server(uvicorn.Server):
    """uvicorn with a graceful stop: it finishes the accepted work before it closes its socket.

    uvicorn itself closes its socket first, so that nobody could fetch the result of a job any more.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        log = copy.deepcopy(LOGGING_CONFIG)
        log["loggers"]["gliascope"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
        config = uvicorn.Config(
            app,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies,
            server_header=False,
            access_log=False,
            log_config=log,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        super().__init__(config)
        self._app = app
        self._context: Context = app.state.context
        self._seconds = settings.shutdown_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and log the addresses, which uvicorn does not log for given sockets."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._context.reload(self._app)))
        await super().startup(sockets)
        names = ", ".join(model.name for model in self._context.models)
        scheme = "https" if self.config.is_ssl else "http"
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            _log.info("serving %s on %s://%s:%d; Ctrl-C to stop. %s", names, scheme, host, port, RESEARCH_USE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish the accepted work at the first signal; stop at once at the second, after cleaning up."""
        if self._stopping or self._loop is None:
            self.config.timeout_graceful_shutdown = _LAST_SECONDS
            self.should_exit = True
        else:
            self._stopping = True
            self._loop.call_soon_threadsafe(lambda: self._begin(self._finish()))

    async def _finish(self) -> None:
        _log.info("finishing the accepted work; a second signal stops at once")
        end = time.monotonic() + self._seconds
        await self._context.drain(self._seconds)
        # Responses that are still being sent may take the rest of the time.
        self.config.timeout_graceful_shutdown = max(_LAST_SECONDS, round(end - time.monotonic()))
        self.should_exit = True

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # asyncio holds only a weak reference
        task.add_done_callback(self._tasks.discard)


def _listen(settings: Settings) -> socket.socket:
    """Open the server's socket."""
    kind = socket.SOCK_STREAM
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=kind)[0]
        # asyncio sets TCP_NODELAY only on sockets that name their protocol. Without it the body of a response
        # waits 40 ms until its head is acknowledged.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        return listening
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise GliascopeError(f"{where}: {error.strerror}; choose another --host or --port") from None


def _raise_open_files() -> None:
    """Raise the limit of open files, often 1,024: decoded slices are mapped from files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
