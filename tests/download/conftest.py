"""A local stand-in for the servers that `fetch` downloads from."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from gliascope.download import http


@dataclass
class StandIn:
    """Answers with `answers`, by path: bytes as a file, anything else as JSON, an int as that HTTP status."""

    answers: dict[str, object] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)  # break off after so many bytes, once each
    ranges: bool | None = True  # None: refuses what asks for a range
    hashes: dict[str, str] = field(default_factory=dict)  # x-goog-hash, where it is not to be the right one
    seen: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range of each request
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.stand_in.seen.append((path, self.headers.get("Range")))
        if path in self.stand_in.redirects:
            self._answer(302, b"", Location=self.stand_in.redirects[path])
            return
        answer = self.stand_in.answers.get(path, 404)
        if isinstance(answer, bytes):
            self._file(path, answer)
        elif isinstance(answer, int):
            self._answer(answer, b"{}", **{"Content-Type": "application/json"})
        else:
            self._answer(200, json.dumps(answer).encode(), **{"Content-Type": "application/json"})

    do_POST = do_GET

    def _file(self, path: str, content: bytes) -> None:
        if self.stand_in.ranges is None and self.headers.get("Range"):
            self._answer(416, b"")
            return
        start = 0
        headers = {"Content-Type": "application/zip"}
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        headers["x-goog-hash"] = self.stand_in.hashes.get(path, f"crc32c=AAAAAA==,md5={md5}")
        if self.stand_in.ranges:
            headers["Accept-Ranges"] = "bytes"
            if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
                start = int(asked[1])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cuts = self.stand_in.cuts.get(path)
        self._answer(206 if start else 200, content[start:], cuts.pop(0) if cuts else None, **headers)

    def _answer(self, status: int, body: bytes, cut: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(http, "PAUSE", 0)
    monkeypatch.setattr(http, "CHUNK", 10)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    state = StandIn()
    handler = type("Handler", (_Handler,), {"stand_in": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
