"""Mutated files: `read` returns slices or raises ReadError, and the server always answers."""

import io
import resource
from collections import Counter
from pathlib import Path

import fuzzing
import mutations
import numpy as np
import pytest
from fastapi.testclient import TestClient
from fuzzing import FINE, LIMITS, Tally, fuzz

from gliascope.io import read

SEED = 20
CASES = 500
SENT = 120


def test_the_corpus_is_read_as_it_is(tmp_path: Path) -> None:
    for kind, content in mutations.corpus().items():
        (tmp_path / "file").write_bytes(content)
        if kind != mutations.ZIP:
            assert len(read(tmp_path / "file")) >= 1, kind


def test_a_case_is_told_by_its_seed_and_number() -> None:
    whole = mutations.corpus()
    once, again = ([mutations.case(whole, SEED, number) for number in range(200)] for _ in range(2))
    assert once == again
    assert sum(content != whole[kind] for kind, content in once) > 190
    assert {kind for kind, _ in once} == set(whole)


def test_damaged_files_are_refused_within_limits_and_nothing_else_happens(tmp_path: Path) -> None:
    tally = Tally()
    for outcome in fuzz(tmp_path, SEED, range(CASES)):
        tally.add(outcome)
    assert tally.failures == []
    assert set(tally.counts) == set(FINE)
    assert tally.peak_mib < LIMITS.memory_bytes / 2**20


def test_the_harness_sees_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(mutations.corpus()["png"])
    assert fuzzing.try_to_read(tmp_path / "file")[0] == "read"

    def fail(*_: object) -> None:
        raise IndexError("no such row")

    monkeypatch.setattr(fuzzing, "prepare", fail)
    assert fuzzing.try_to_read(tmp_path / "file")[0] == "raises IndexError: no such row"
    monkeypatch.setattr(fuzzing, "prepare", lambda *_: np.float64(1e308) * 10)
    assert fuzzing.try_to_read(tmp_path / "file")[0] == "read"  # a warning, but not of ours


def test_the_server_answers_whatever_it_is_sent(client: TestClient) -> None:
    """Several files a request, so that what can be read is answered beside what cannot."""
    whole = mutations.corpus()
    statuses: Counter[int] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, SENT, 3):
        cases = [mutations.case(whole, SEED + 1, start + number) for number in range(3)]
        files = [("files", (kind, io.BytesIO(content))) for kind, content in cases]
        answer = client.post("/v1/predict", files=files)
        statuses[answer.status_code] += 1
        check(answer.status_code, answer.json())
    assert set(statuses) <= {200, 413, 422}
    assert statuses[200] > SENT / 12
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    assert client.get("/healthz").status_code == 200


def check(status: int, body: dict[str, object]) -> None:
    text = str(body)
    assert "/tmp" not in text
    assert "Traceback" not in text
    if status == 200:
        assert body["slices"]
    else:
        assert set(body["error"]) == {"code", "message", "request_id"}
