import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from served import png, send, serving, until

from gliascope.server.keys import KeyRing
from gliascope.server.models import ModelSource
from gliascope.server.service import PredictionService

Serve = Callable[..., TestClient]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/static/nowhere.js", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/v1/jobs/none", 404, "unknown_job"),
        ("DELETE", "/v1/jobs/none", 404, "unknown_job"),
        ("GET", "/v1/jobs/none/slices/one/image", 422, "invalid_request"),
        ("GET", "/v1/jobs/none/slices/-1/image", 422, "invalid_request"),
        ("GET", "/v1/model?model=none", 404, "unknown_model"),
        ("PUT", "/v1/predict", 405, "method_not_allowed"),
        ("POST", "/v1/predict", 415, "unsupported_media_type"),
        ("POST", "/v1/predict?level=high", 422, "invalid_request"),
        ("POST", "/v1/predict?level=1", 422, "invalid_request"),
        ("POST", "/v1/jobs", 415, "unsupported_media_type"),
    ],
)
def test_every_error_is_json_of_one_kind(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"] and "\n" not in error["message"]
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert "Content-Security-Policy" in answer.headers


GETS = ("/", "/static/app.js", "/openapi.json", "/healthz", "/readyz", "/metrics", "/v1/models", "/v1/model")


@pytest.mark.parametrize(
    "path", [*GETS, "/v1/jobs/none", "/nowhere", "/static/nowhere", "/v1/model?model=none"]
)
def test_head_is_get_without_its_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    passing = {"x-request-id", "content-length"} if path in ("/metrics",) else {"x-request-id"}
    same = [{name: one.headers[name] for name in one.headers if name not in passing} for one in (got, head)]
    assert same[0] == same[1]


def test_head_leaves_a_job_to_be_fetched_and_is_counted_as_what_it_is(serve: Serve) -> None:
    client = serve()
    place = client.post("/v1/jobs", files=send(("a.png", png()))).headers["Location"]
    until(lambda: client.get(place).json()["state"] == "done")
    (job,) = client.app.state.context.jobs
    job.fetched = False
    for address in (place, f"{place}/slices/0/image", f"{place}/slices/0/saliency"):
        head = client.head(address)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(client.get(f"{place}/slices/0/image").content) or (
            not address.endswith("image")
        )
        assert not job.fetched
    client.get(place)
    assert job.fetched
    client.head(place)
    assert job.fetched
    assert 'method="HEAD",route="/v1/jobs/{job}",status="200"' in client.get("/metrics").text


def test_head_of_what_only_takes_post_is_refused(client: TestClient) -> None:
    answer = client.head("/v1/predict")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "POST", b"")


def test_a_refused_method_names_all_that_the_address_has(client: TestClient) -> None:
    for path, allowed in (
        ("/v1/jobs/none", "DELETE, GET, HEAD"),
        ("/v1/models", "GET, HEAD"),
        ("/v1/jobs", "POST"),
        ("/", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
    ):
        answer = client.put(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), path
        assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("POST", "/v1/predict?modle=quadrants", "model, saliency, level"),
        ("POST", "/v1/predict?Model=quadrants", "model, saliency, level"),
        ("POST", "/v1/predict?model=quadrants&levle=0.9", "model, saliency, level"),
        ("POST", "/v1/jobs?saliency=true", "model, level"),
        ("GET", "/v1/model?name=quadrants", "model"),
        ("GET", "/v1/models?model=quadrants", None),
        ("POST", "/v1/models/reload?model=quadrants", None),
        ("GET", "/v1/jobs/none?verbose=1", None),
        ("DELETE", "/v1/jobs/none?force=1", None),
        ("GET", "/v1/jobs/none/slices/0/image?size=10", None),
        ("GET", "/healthz?full=1", None),
        ("GET", "/readyz?full", None),
        ("GET", "/metrics?name=x", None),
        ("GET", "/openapi.json?version=2", None),
        ("GET", "/?job=1", None),
    ],
)
def test_unknown_query_parameters_are_refused_and_not_ignored(
    client: TestClient, method: str, path: str, known: str | None
) -> None:
    sent = {"files": send(("a.png", png()))} if path.startswith(("/v1/predict", "/v1/jobs?")) else {}
    answer = client.request(method, path, **sent)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "unknown_parameter")
    wrong = re.split(r"[?&=]", path)[-2 if "=" in path else -1]
    assert f"'{wrong}' is unknown" in error["message"]
    assert (f"knows {known}" if known else "takes none") in error["message"]


def test_a_parameter_there_twice_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/predict?level=0.5&level=0.9", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_parameter")
    assert "level is given twice" in answer.json()["error"]["message"]


def test_a_hostile_name_of_a_parameter_stays_one_short_line(client: TestClient) -> None:
    answer = client.get("/v1/models?" + "a%0a%00%e2%80%ae" * 100)
    message = answer.json()["error"]["message"]
    assert answer.status_code == 422
    assert message.isascii() and message.isprintable() and len(message) < 200


def test_what_nobody_foresaw_is_logged_by_where_and_not_by_what(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: PredictionService, *_: object) -> None:
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(PredictionService, "predict", fail)
    with caplog.at_level(logging.ERROR, "gliascope"):
        answer = client.post("/v1/predict", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert answer.headers["X-Request-ID"] in caplog.text
    assert "ValueError at" in caplog.text
    assert "Doe" not in caplog.text + answer.text
    assert client.app.state.context.admission.admitted_slices == 0


def test_a_full_disk_passes(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: PredictionService, *_: object) -> None:
        raise OSError(28, "No space left on device", "/srv/tmp/0")

    monkeypatch.setattr(PredictionService, "predict", fail)
    answer = client.post("/v1/predict", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
    assert "Retry-After" in answer.headers
    assert "/srv" not in answer.text


def test_health(serve: Serve) -> None:
    client = serve()
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    client.app.state.context.state = "stopping"
    assert client.get("/healthz").json() == {"status": "stopping"}
    for answer in (
        client.get("/readyz"),
        client.post("/v1/predict", files=send(("a.png", png()))),
        client.post("/v1/jobs", files=send(("a.png", png()))),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Connection"] == "close"


def test_metrics_count_by_route_and_never_by_what_a_client_wrote(serve: Serve) -> None:
    client = serve()
    client.post("/v1/predict", files=send(("secret-name.png", png()), ("secret.txt", b"text")))
    client.get("/v1/jobs/secret-job")
    client.get("/secret-path")
    client.request("SECRET", "/v1/models")
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'gliascope_requests_total{method="POST",route="/v1/predict",status="200"} 1.0',
        'gliascope_requests_total{method="GET",route="/v1/jobs/{job}",status="404"} 1.0',
        'gliascope_requests_total{method="GET",route="none",status="404"} 1.0',
        'gliascope_requests_total{method="other",route="/v1/models",status="405"} 1.0',
        'gliascope_slices_total{model="quadrants",verdict="accepted"} 1.0',
        'gliascope_rejects_total{reason="format not recognised"} 1.0',
        'gliascope_batch_slices_count{model="quadrants"} 1.0',
        "gliascope_queue_slices 0.0",
        'gliascope_jobs{state="done"} 0.0',
    ):
        assert line in lines
    assert "secret" not in answer.text.lower()


def test_keys_are_asked_for_where_there_are_any(bundle_path: Path, tmp_path: Path) -> None:
    ring, reader = KeyRing().add("reader", ("predict",))
    ring, boss = ring.add("boss", ("admin",))
    ring.save(tmp_path / "keys.json")
    with serving([ModelSource("quadrants", bundle_path)], keys=tmp_path / "keys.json") as client:
        free = [client.get(path).status_code for path in ("/healthz", "/readyz", "/openapi.json", "/")]
        assert free == [200] * 4
        paths = ("/v1/models", "/v1/model", "/metrics")
        for key, statuses in ((None, [401] * 3), (reader, [200, 200, 403]), (boss, [200] * 3)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert [client.get(path, headers=headers).status_code for path in paths] == statuses
        answer = client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_without_keys_other_names_for_this_machine_are_refused(client: TestClient) -> None:
    for host, status in (("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("rebound.example", 403), ("", 403)):
        assert client.get("/v1/models", headers={"Host": host}).status_code == status


def test_a_key_may_ask_so_often(serve: Serve) -> None:
    client = serve(rate="2/minute")
    statuses = [client.get("/v1/models").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = client.get("/v1/model")
    assert answer.json()["error"]["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/healthz").status_code == 200


def test_cors_is_closed_but_for_the_named(serve: Serve) -> None:
    client = serve(origins="https://viewer.example")
    for origin, allowed in (
        ("https://viewer.example", "https://viewer.example"),
        ("https://x.example", None),
    ):
        for path in ("/v1/models", "/nowhere"):
            answer = client.get(path, headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert "Access-Control-Allow-Origin" not in serve().get("/v1/models", headers={"Origin": origin}).headers


def test_the_audit_log_says_who_asked_what(serve: Serve, tmp_path: Path) -> None:
    client = serve(audit_log=tmp_path / "audit.jsonl")
    client.post("/v1/predict", files=send(("Doe.png", png()), ("b.png", png(1))))
    client.get("/v1/jobs/guess")
    client.get("/healthz")
    text = (tmp_path / "audit.jsonl").read_text()
    first, second = [json.loads(line) for line in text.splitlines()]
    assert (first["route"], first["status"], first["model"]) == ("/v1/predict", 200, "quadrants")
    assert (first["files"], first["slices"]) == (2, 2)
    assert (second["route"], second["status"]) == ("/v1/jobs/{job}", 404)
    assert "Doe" not in text and "guess" not in text


def test_openapi_knows_every_route_its_errors_and_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/predict",
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/slices/{number}/image",
        "/v1/jobs/{job}/slices/{number}/saliency",
        "/v1/models",
        "/v1/model",
        "/v1/models/reload",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, operations in document["paths"].items():
        assert ("head" in operations) == ("get" in operations), path
        for method, operation in operations.items():
            assert "422" in operation["responses"]
            if method == "head":
                assert not any("content" in told for told in operation["responses"].values())
    ids = [one["operationId"] for operations in document["paths"].values() for one in operations.values()]
    assert len(set(ids)) == len(ids)
    predict = document["paths"]["/v1/predict"]["post"]
    assert "multipart/form-data" in predict["requestBody"]["content"]
    assert {"200", "413", "422", "429", "503", "504"} <= set(predict["responses"])
    for status in ("422", "503"):
        schema = predict["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}
    for name in ("Prediction", "Job", "Error", "SliceFinding"):
        assert document["components"]["schemas"][name]["examples"]


def test_examples_are_what_their_schemas_say() -> None:
    from gliascope.server import schemas

    for model in (schemas.Prediction, schemas.Job, schemas.Error, schemas.Reloaded, schemas.StudyFinding):
        (example,) = model.model_config["json_schema_extra"]["examples"]
        model.model_validate(example)


def test_the_page_and_its_files_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "esearch use" in page.text
    assert client.get("/static/app.js").status_code == 200
