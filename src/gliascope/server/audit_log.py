"""Audit log: one JSON line for each request to /v1, without file names or anything else about patients."""

import json
import logging
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from gliascope.server.multipart import printable_name

SILENCED_LOGGERS = ("pydicom", "nibabel", "nibabel.global", "PIL", "python_multipart")
"""Loggers of libraries whose messages quote the content of files, which may name a patient."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One answered request: a line of the audit log.

    Attributes
    ----------
    request_id
        Value of the header X-Request-ID.
    key
        Name of the API key; "" on a server without keys.
    client
        Address of the client.
    method
        HTTP method.
    route
        Template of the route, such as /v1/jobs/{job}: whoever knows a job's id can read the job.
    status
        HTTP status.
    milliseconds
        Time from the request to the end of the response.
    model
        Name of the model; None where no model was used.
    files, slices
        Numbers of files received and of slices predicted.
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
    """File of JSON lines (mode 0600) to which events are appended. It may be rotated while it is in use.

    An event that cannot be written, on a full disk for example, fails no request; a message on standard error
    says that a line is missing.

    Parameters
    ----------
    path
        File to append to; it is created if it does not exist.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._handler = _Handler(path, encoding="utf-8")

    def write(self, event: AuditEvent) -> None:
        """Append one event, with the current time."""
        fields = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(event)}
        # A client chooses some of the texts (its address behind a proxy): they are cut and made printable.
        clean = {
            name: printable_name(value) if isinstance(value, str) else value for name, value in fields.items()
        }
        self._handler.handle(logging.makeLogRecord({"msg": json.dumps(clean), "levelno": logging.INFO}))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


def silence_libraries() -> None:
    """Switch off the loggers of libraries that quote file contents, in this process.

    Decoding workers need no such call: `decode_limits.limit_process` discards their output.
    """
    for name in SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _Handler(WatchedFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        print(f"the audit log lacks a line: {type(error).__name__}", file=sys.stderr)  # noqa: T201
