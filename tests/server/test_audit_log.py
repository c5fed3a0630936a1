import json
import logging
import stat
from pathlib import Path

import pytest

from gliascope.server.audit_log import SILENCED_LOGGERS, AuditEvent, AuditLog, silence_libraries

EVENT = AuditEvent(
    "r1", "ward", "10.0.0.1", "POST", "/v1/predict", 200, 83, model="tumours", files=2, slices=40
)


def test_a_line_says_who_asked_what_when(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(EVENT)
    log.write(AuditEvent("r2", "", "10.0.0.2", "GET", "/v1/jobs/{id}", 404, 1))
    log.close()
    first, second = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "request_id": "r1",
        "key": "ward",
        "client": "10.0.0.1",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "milliseconds": 83,
        "model": "tumours",
        "files": 2,
        "slices": 40,
    }
    assert (second["route"], second["model"], second["files"]) == ("/v1/jobs/{id}", None, 0)
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


def test_lines_cannot_be_forged(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(AuditEvent("r", 'a"}\n{"key": "b', "x\r\n\x1b[2Jy", "GET", "/%s%(x)d", 200, 1))
    log.close()
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["client"] == "x\ufffd\ufffd\ufffd[2Jy"


def test_lines_are_appended_and_go_to_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        log = AuditLog(path)
        log.write(EVENT)
        log.close()
    assert len(path.read_text().splitlines()) == 2
    log = AuditLog(path)
    path.rename(tmp_path / "audit.jsonl.1")
    log.write(EVENT)
    assert len(path.read_text().splitlines()) == 1


def test_a_full_disk_stops_nobody(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = AuditLog(small_disk / "audit.jsonl")
    (small_disk / "full").touch()
    with pytest.raises(OSError, match="No space"), (small_disk / "full").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    log.write(EVENT)
    assert "lacks a line" in capsys.readouterr().err


def test_a_log_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such"):
        AuditLog(tmp_path / "missing" / "audit.jsonl")


def test_libraries_that_quote_files_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    levels = {name: logging.getLogger(name).level for name in SILENCED_LOGGERS}
    try:
        silence_libraries()
        for name in (*SILENCED_LOGGERS, "PIL.TiffImagePlugin", "pydicom.filereader"):
            logging.getLogger(name).critical("Doe^Jane")
        assert "Doe" not in caplog.text
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
