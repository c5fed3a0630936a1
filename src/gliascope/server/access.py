"""Authorization of a route: API key, rate limit, and the protection of a server that has no keys."""

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
    """Make the dependency of a route that authenticates a request and counts it for the rate limit.

    Parameters
    ----------
    scope
        Scope that the API key must hold.

    Returns
    -------
    Callable
        Gives the client's `Identity`. Raises ApiError: 401 without a valid key, 403 without the scope or for
        a request from elsewhere to a server without keys, 429 over the rate limit.
    """
    authenticated = require_scope(scope)

    async def identity(request: Request, client: Annotated[Identity, Depends(authenticated)]) -> Identity:
        if request.app.state.keys is None:
            _check_local(request)
        await check_rate(request)
        return client

    return identity


def _check_local(request: Request) -> None:
    """Raise ApiError (403) unless the request was sent to localhost and came through no proxy.

    A page of another site may make its host name point to this machine (DNS rebinding); the Host header then
    holds that name. A proxy forwards requests of others, often with localhost as the Host header.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in _LOOPBACK:
        message = "a server without API keys answers as localhost only; make keys with `gliascope keys add`"
        raise ApiError(403, "foreign_host", message)
    if any(name in request.headers for name in _PROXY):
        message = "behind a proxy the server needs API keys; make keys with `gliascope keys add`"
        raise ApiError(403, "foreign_host", message)
