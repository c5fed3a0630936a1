"""The server's responses agree with its OpenAPI document (Schemathesis)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import RATE, png, send, until

from gliascope.server.app import create_app
from gliascope.server.keys import KeyRing
from gliascope.server.models import ModelSource
from gliascope.server.settings import Settings

FEW, EXAMPLES = 4, 15


@pytest.fixture
def api(bundle_path: Path, tmp_path: Path) -> Iterator[schemathesis.BaseSchema]:
    """Of a server with keys, whose admin asks. An app is started once: Schemathesis ends it after a test."""
    folder = tmp_path
    ring, secret = KeyRing().add("admin", ("admin",))
    ring.save(folder / "keys.json")
    chosen = Settings(keys=folder / "keys.json", rate=RATE, workers=1, temporary=folder, jobs_waiting=1000)
    app = create_app(chosen, [ModelSource("quadrants", bundle_path)])
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {secret}"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
        }
    )
    yield schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    shutdown_lifespans()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("examples", [FEW, pytest.param(EXAMPLES, marks=pytest.mark.slow)])
def test_the_server_does_what_its_openapi_says(
    api: schemathesis.BaseSchema, mode: GenerationMode, examples: int
) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:
        _check(operation, mode, examples)


def _check(operation: schemathesis.APIOperation, mode: GenerationMode, examples: int) -> None:
    # No schema can say what a picture is: random bytes are fine by it, and unreadable.
    takes_files = operation.method == "post" and operation.path in ("/v1/predict", "/v1/jobs")

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(mode))
    def holds(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if takes_files else [])

    try:
        holds()
    except Unsatisfiable:  # nothing can be wrong with it: it takes no parameters
        assert mode == GenerationMode.NEGATIVE


def test_answers_about_real_files_fit_too(api: schemathesis.BaseSchema, client: TestClient) -> None:
    def fits(method: str, path: str, route: str, **sent: Any) -> Any:
        answer = client.request(method, path, **sent)
        api[route][method].validate_response(answer)
        return answer

    files = send(("a.png", png()), ("bad", b"bad"))
    assert fits("POST", "/v1/predict?saliency=true", "/v1/predict", files=files).status_code == 200
    assert fits("POST", "/v1/predict", "/v1/predict", files=send(("bad", b"bad"))).status_code == 422
    job = fits("POST", "/v1/jobs", "/v1/jobs", files=files)
    assert job.status_code == 202
    path = job.headers["Location"]
    until(lambda: fits("GET", path, "/v1/jobs/{job}").json()["state"] == "done")
    assert fits("DELETE", path, "/v1/jobs/{job}").status_code == 204
    assert fits("GET", path, "/v1/jobs/{job}").status_code == 404
