"""Who asked what when, without a word about patients."""

import json
import logging
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from gliascope.server.multipart import printable_name

SILENCED_LOGGERS = ("pydicom", "nibabel", "nibabel.global", "PIL", "python_multipart")
"""Loggers of libraries that quote what they stumble over, which may name a patient."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One answered request. `route` is its template, as /v1/jobs/{id}: an id opens a job.

    key: whose, "" on a server without keys. model: by name. files, slices: how many. Never a file's name.
    """

    request_id: str
    key: str
    client: str
    method: str
    route: str
    status: int
    milliseconds: int
    model: str | None = None
    files: int = 0
    slices: int = 0


class AuditLog:
    """JSON lines, appended to a file of mode 0600; after a rotation, to the new one.

    Raises OSError where the file cannot be opened. A disk that is full later stops no request: standard
    error then says that a line is missing.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._handler = _Handler(path, encoding="utf-8")

    def write(self, event: AuditEvent) -> None:
        """Append one line."""
        fields = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(event)}
        # What a client chose, such as its address behind a proxy, is cut and made printable.
        clean = {
            name: printable_name(value) if isinstance(value, str) else value for name, value in fields.items()
        }
        self._handler.handle(logging.makeLogRecord({"msg": json.dumps(clean), "levelno": logging.INFO}))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


def silence_libraries() -> None:
    """Let no library log or warn about what it reads; for the server's process, workers are mute anyway."""
    for name in SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _Handler(WatchedFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        print(f"the audit log lacks a line: {type(error).__name__}", file=sys.stderr)  # noqa: T201
