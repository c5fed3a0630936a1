"""Who may use a route: what `keys` and `ratelimit` say, and what protects a server without keys."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from gliascope.server.api_error import ApiError
from gliascope.server.keys import Identity, Scope, require_scope
from gliascope.server.ratelimit import check_rate

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROXY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def authorize(scope: Scope) -> Callable[..., Awaitable[Identity]]:
    """Dependency of a route: the Identity that asks, which holds the scope and has not asked too often."""
    holder = require_scope(scope)

    async def identity(request: Request, who: Annotated[Identity, Depends(holder)]) -> Identity:
        if request.app.state.keys is None:
            _check_local(request)
        await check_rate(request)
        return who

    return identity


def _check_local(request: Request) -> None:
    """Let in, without keys, who asks this machine by its own name.

    A page of another site may make its name point here (DNS rebinding); Host then holds that name. And a
    proxy asks for others, often by this machine's own name.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in _LOOPBACK:
        message = "a server without API keys answers as localhost only; make keys with `gliascope keys add`"
        raise ApiError(403, "foreign_host", message)
    if any(name in request.headers for name in _PROXY):
        message = "behind a proxy the server needs API keys; make keys with `gliascope keys add`"
        raise ApiError(403, "foreign_host", message)
