"""How often one client may ask."""

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
    """At most so many requests a key in any window of time; without keys, an address counts as one.

    rate: as "600/minute". Counts are kept by this process. Raises GliascopeError for what is no rate.
    """

    def __init__(self, rate: str) -> None:
        try:
            self._rate = parse(rate)
        except ValueError:
            raise GliascopeError(f"rate {rate!r}: is none; give one such as 600/minute") from None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, client: str) -> None:
        """Count a request. Raises ApiError (429) once there were too many; those count no more."""
        if self._limiter.hit(self._rate, client):
            return
        free_at, _ = self._limiter.get_window_stats(self._rate, client)
        wait = max(1, math.ceil(free_at - time.time()))
        message = f"more than {self._rate}; try again in {wait} s"
        raise ApiError(429, "too_many_requests", message, {"Retry-After": str(wait)})


async def check_rate(request: Request) -> None:
    """Dependency of a route, to come after `keys.require`; asks `app.state.rate`, a RateLimiter."""
    limiter: RateLimiter = request.app.state.rate
    identity: Identity = request.state.identity
    limiter.check(rate_limit_client(request, identity))


def rate_limit_client(request: Request, identity: Identity) -> str:
    """Whom a request is counted for: its key, or its address on a server without keys."""
    address = request.client.host if request.client else ""
    return f"key {identity.name}" if identity.name else f"address {address}"
