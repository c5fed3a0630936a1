import pytest
from fastapi.testclient import TestClient
from served import png, send


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_without_keys_this_machine_is_answered_by_its_name(client: TestClient, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Real-IP": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1"},
    ],
)
def test_without_keys_nobody_else_is(client: TestClient, header: dict[str, str]) -> None:
    """A foreign host name (DNS rebinding) and requests through a proxy are refused."""
    answer = client.post("/v1/predict", files=send(("a.png", png())), headers=header)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_host")
    assert "gliascope keys add" in answer.json()["error"]["message"]
    assert client.get("/healthz", headers=header).status_code == 200
