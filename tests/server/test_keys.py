import json
from pathlib import Path

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from gliascope.cli.keys import app as command
from gliascope.errors import GliascopeError
from gliascope.server.api_error import ApiError
from gliascope.server.keys import KEY_PREFIX, LOCAL_IDENTITY, Identity, KeyRing, parse_scopes, require_scope


def refused(status: int):
    return pytest.raises(ApiError, check=lambda error: error.status == status)


def test_a_key_is_known_by_its_hash_only(tmp_path: Path) -> None:
    ring, secret = KeyRing().add("ward-3", ("predict",))
    other, second = ring.add("it@clinic.example", ("admin",))
    other.save(tmp_path / "keys.json")
    text = (tmp_path / "keys.json").read_text()
    assert secret not in text
    assert second not in text
    loaded = KeyRing.load(tmp_path / "keys.json")
    assert loaded.authenticate(f"Bearer {secret}") == Identity("ward-3", frozenset({"predict"}))
    assert loaded.authenticate(f"bearer {second}").has_scope("predict")
    assert not loaded.authenticate(f"Bearer {secret}").has_scope("admin")
    assert secret.startswith(KEY_PREFIX)
    assert len(secret) >= len(KEY_PREFIX) + 43


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer gliascope_wrong", "Bearer é\0", "x" * 9999],
)
def test_other_headers_are_turned_down(header: str | None) -> None:
    ring, secret = KeyRing().add("a", ("predict",))
    for value in (header, secret, f"Bearer {secret}x", f"Bearer {secret[:-1]}"):
        with refused(401) as caught:
            ring.authenticate(value)
        assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
        assert secret not in caught.value.message


def test_names_are_taken_once_and_keys_can_be_removed() -> None:
    ring, secret = KeyRing().add("a", ("predict",))
    with pytest.raises(GliascopeError, match="remove it, or choose"):
        ring.add("a", ("admin",))
    for name in ("", "a b", "ä", "x" * 65, "a\nb"):
        with pytest.raises(GliascopeError, match="letters, digits"):
            ring.add(name, ("predict",))
    with pytest.raises(GliascopeError, match="no such key"):
        ring.remove("b")
    with refused(401):
        ring.remove("a").authenticate(f"Bearer {secret}")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"keys": [{}]}', '{"users": []}', "\0", '{"keys": [{"name": "a"}]}']
)
def test_a_damaged_file_is_an_error_and_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(GliascopeError, match="not a key file"):
        KeyRing.load(tmp_path / "keys.json")
    with pytest.raises(GliascopeError, match="keys add"):
        KeyRing.load(tmp_path / "missing.json")


def test_two_keys_of_one_name_are_an_error(tmp_path: Path) -> None:
    ring, _ = KeyRing().add("a", ("predict",))
    KeyRing(ring.keys * 2).save(tmp_path / "keys.json")
    with pytest.raises(GliascopeError, match="two keys of the same name"):
        KeyRing.load(tmp_path / "keys.json")


def test_scopes_are_known() -> None:
    assert parse_scopes(["predict", "admin", "predict"]) == ("predict", "admin")
    with pytest.raises(GliascopeError, match="choose from predict, admin"):
        parse_scopes(["root"])


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.state.keys, app.state.origins = None, ()

    @app.exception_handler(ApiError)
    async def refusal(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse({"code": error.code}, error.status, error.headers)

    @app.get("/predict")
    async def predict(identity: Identity = Depends(require_scope("predict"))) -> str:  # noqa: B008
        return identity.name

    @app.get("/admin", dependencies=[Depends(require_scope("admin"))])
    async def admin(request: Request) -> str:
        return str(request.state.identity.name)

    return app


def test_routes_ask_for_scopes(app: FastAPI) -> None:
    ring, secret = KeyRing().add("ward", ("predict",))
    ring, admin = ring.add("boss", ("admin",))
    app.state.keys = ring
    client = TestClient(app)

    def get(path: str, key: str | None) -> httpx2.Response:
        return client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})

    assert get("/predict", None).status_code == 401
    assert get("/predict", "wrong").json() == {"code": "unauthorized"}
    assert get("/predict", secret).json() == "ward"
    assert get("/admin", secret).json() == {"code": "forbidden"}
    assert get("/admin", admin).json() == get("/predict", admin).json() == "boss"
    app.state.keys = ring.remove("ward")  # as a reload does
    assert get("/predict", secret).status_code == 401


def test_without_keys_pages_of_other_sites_are_kept_out(app: FastAPI) -> None:
    client = TestClient(app)

    def get(site: str, origin: str = "https://evil.example") -> int:
        return client.get("/admin", headers={"Sec-Fetch-Site": site, "Origin": origin}).status_code

    assert client.get("/admin").json() == LOCAL_IDENTITY.name
    assert [get(site) for site in ("none", "same-origin", "same-site", "cross-site")] == [200, 200, 403, 403]
    app.state.origins = ("https://friend.example",)
    assert get("cross-site", "https://friend.example") == 200
    assert get("cross-site") == 403


def test_the_command_makes_lists_and_removes(tmp_path: Path) -> None:
    file = str(tmp_path / "keys.json")
    runner = CliRunner()
    made = runner.invoke(command, ["add", "ward", "--file", file])
    assert made.exit_code == 0
    runner.invoke(command, ["add", "boss", "--scope", "admin", "--file", file])
    secret = made.stdout.strip()
    assert KeyRing.load(Path(file)).authenticate(f"Bearer {secret}").name == "ward"
    lines = runner.invoke(command, ["list", "--file", file]).stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["ward", "predict"], ["boss", "admin"]]
    assert runner.invoke(command, ["remove", "ward", "--file", file]).exit_code == 0
    assert [key["name"] for key in json.loads(Path(file).read_text())["keys"]] == ["boss"]
