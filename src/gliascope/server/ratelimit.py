"""Rate limit: how many requests one client may send."""

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from gliascope.errors import GliascopeError
from gliascope.server.api_error import ApiError
from gliascope.server.keys import Identity


class RateLimiter:
    """Limit of the requests of each client in a moving window of time, counted in this process.

    Parameters
    ----------
    rate
        Number and period, such as "600/minute".

    Raises
    ------
    GliascopeError
        If `rate` is not of this form.
    """

    def __init__(self, rate: str) -> None:
        try:
            self._rate = parse(rate)
        except ValueError:
            raise GliascopeError(f"rate {rate!r}: is not a rate; give one such as 600/minute") from None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, client: str) -> None:
        """Count a request of a client. Raises ApiError (429) over the limit; that request is not counted."""
        if self._limiter.hit(self._rate, client):
            return
        free_at, _ = self._limiter.get_window_stats(self._rate, client)
        wait = max(1, math.ceil(free_at - time.time()))
        message = f"more requests than {self._rate}; try again in {wait} s"
        raise ApiError(429, "too_many_requests", message, {"Retry-After": str(wait)})


async def check_rate(request: Request) -> None:
    """Count a request for its client; a dependency of a route, after `keys.require_scope`.

    Raises
    ------
    ApiError
        429 over the limit of `app.state.rate`.
    """
    limiter: RateLimiter = request.app.state.rate
    identity: Identity = request.state.identity
    limiter.check(rate_limit_client(request, identity))


def rate_limit_client(request: Request, identity: Identity) -> str:
    """Name the client that a request is counted for: its key, or its address on a server without keys."""
    address = request.client.host if request.client else ""
    return f"key {identity.name}" if identity.name else f"address {address}"
