import time

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from gliascope.errors import GliascopeError
from gliascope.server.api_error import ApiError
from gliascope.server.keys import KeyRing, require_scope
from gliascope.server.ratelimit import RateLimiter, check_rate


def test_too_many_are_told_when_to_come_back() -> None:
    limiter = RateLimiter("3/minute")
    for _ in range(3):
        limiter.check("a")
    for _ in range(5):
        with pytest.raises(ApiError) as caught:
            limiter.check("a")
    assert (caught.value.status, caught.value.code) == (429, "too_many_requests")
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
    limiter.check("b")


def test_the_window_moves() -> None:
    limiter = RateLimiter("2/second")
    limiter.check("a")
    limiter.check("a")
    with pytest.raises(ApiError):
        limiter.check("a")
    time.sleep(1.1)
    limiter.check("a")


def test_what_is_no_rate_is_an_error() -> None:
    for rate in ("", "often", "10", "ten/minute"):
        with pytest.raises(GliascopeError, match="600/minute"):
            RateLimiter(rate)


def test_keys_are_counted_apart_and_addresses_without_keys() -> None:
    app = FastAPI()
    app.state.keys, app.state.origins, app.state.rate = None, (), RateLimiter("2/minute")

    @app.exception_handler(ApiError)
    async def refusal(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse({}, error.status, error.headers)

    @app.get("/", dependencies=[Depends(require_scope("predict")), Depends(check_rate)])
    async def answer() -> str:
        return "answer"

    def statuses(client: TestClient, key: str = "") -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [client.get("/", headers=headers).status_code for _ in range(3)]

    assert statuses(TestClient(app, client=("10.0.0.1", 1))) == [200, 200, 429]
    assert statuses(TestClient(app, client=("10.0.0.2", 1))) == [200, 200, 429]
    ring, one = KeyRing().add("10.0.0.1", ("predict",))
    app.state.keys, two = ring.add("b", ("predict",))
    client = TestClient(app, client=("10.0.0.3", 1))
    assert statuses(client, one) == statuses(client, two) == [200, 200, 429]
    assert statuses(client, "wrong") == [401, 401, 401]
