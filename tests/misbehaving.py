"""One request to a server at a time, and what no good client does."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from loading import HEADERS, SECONDS, Body, Server


def post(server: Server, body: Body) -> int:
    """The answer's status."""
    return server.client.post("/v1/predict", content=body.content, headers=HEADERS).status_code


def submit(server: Server, body: Body) -> str:
    """A job; where it can be asked for."""
    response = server.client.post("/v1/jobs", content=body.content, headers=HEADERS)
    return response.headers["Location"]


def follow(server: Server, job: str) -> str:
    """Its state once it has ended."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state: str = server.client.get(job).json()["state"]
        if state in ("done", "failed"):
            return state
        time.sleep(0.05)
    return "late"


def begin_upload(server: Server) -> socket.socket:
    """A connection that has sent the head of a long request."""
    address = urlsplit(server.address)
    connection = socket.create_connection((address.hostname, address.port), SECONDS)
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
    )
    connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
    return connection


def status_of(connection: socket.socket) -> str:
    """Of the answer, waited for; closes the connection."""
    with connection:
        return connection.recv(4096).split(b" ")[1].decode()


def fill(filler: Path) -> None:
    """Let a file take all the space that there is."""
    with filler.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
