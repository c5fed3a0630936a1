"""Single requests to a server, and requests that a well-behaved client does not send."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from loading import HEADERS, SECONDS, Body, Server


def post(server: Server, body: Body) -> int:
    """Send a body to /v1/predict and return the response's status."""
    return server.client.post("/v1/predict", content=body.content, headers=HEADERS).status_code


def submit(server: Server, body: Body) -> str:
    """Send a body as a job and return the job's path."""
    response = server.client.post("/v1/jobs", content=body.content, headers=HEADERS)
    return response.headers["Location"]


def follow(server: Server, job: str) -> str:
    """Wait until a job has ended and return its state."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state: str = server.client.get(job).json()["state"]
        if state in ("done", "failed"):
            return state
        time.sleep(0.05)
    return "late"


def begin_upload(server: Server) -> socket.socket:
    """Open a connection and send the head of a long request."""
    address = urlsplit(server.address)
    connection = socket.create_connection((address.hostname, address.port), SECONDS)
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
    )
    connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
    return connection


def status_of(connection: socket.socket) -> str:
    """Wait for the response, close the connection, and return the status."""
    with connection:
        return connection.recv(4096).split(b" ")[1].decode()


def fill(filler: Path) -> None:
    """Fill the disk with a file."""
    with filler.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
