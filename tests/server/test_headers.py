import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from gliascope.server.headers import SecurityHeaders


async def answer(request: object) -> PlainTextResponse:
    return PlainTextResponse("answer", headers={"Cache-Control": "public", "X-Own": "kept"})


async def fail(request: object) -> PlainTextResponse:
    raise ValueError


def client(address: str) -> TestClient:
    app = Starlette(
        routes=[Route("/v1/model", answer), Route("/static/app.js", answer), Route("/fail", fail)]
    )
    return TestClient(SecurityHeaders(app), address, raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/v1/model", "/static/app.js", "/fail", "/missing"])
def test_every_answer_carries_them(path: str) -> None:
    headers = client("http://server").get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "strict-transport-security" not in headers
    assert headers.get("x-own", "kept") == "kept"


def test_answers_are_never_stored_but_the_pages_own_files() -> None:
    assert client("http://server").get("/v1/model").headers["cache-control"] == "no-store"
    assert client("http://server").get("/fail").headers["cache-control"] == "no-store"
    assert client("http://server").get("/static/app.js").headers["cache-control"] == "no-cache"


def test_browsers_stay_with_tls_once_there() -> None:
    assert "max-age=" in client("https://server").get("/v1/model").headers["strict-transport-security"]
