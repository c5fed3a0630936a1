"""Middleware around every request: its identifier, error responses, metrics, and the audit log."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gliascope.server.api_error import ApiError
from gliascope.server.audit_log import AuditEvent
from gliascope.server.context import Context
from gliascope.server.errors import error_response

Result = TypeVar("Result")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_GONE = 499
"""nginx's status for a client that closed the connection before the response."""


class RequestMiddleware:
    """ASGI middleware that handles what all requests have in common.

    It gives each request an identifier (header X-Request-ID), answers HEAD on every path that answers GET,
    turns exceptions into error responses, and records the request in the metrics and the audit log.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI defines it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, head = secrets.token_hex(8), scope["method"] == "HEAD"
        scope.setdefault("state", {}).update(request_id=request_id, head=head)
        inner = {**scope, "method": "GET"} if head else scope  # uvicorn's own scope keeps HEAD
        start, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(inner, receive, send_with_id)
        except Exception as error:
            if status:  # the response has begun: only the connection can be closed
                raise
            response = error_response(error, request_id, self.context.metrics)
            await response(scope, receive, send_with_id)
        finally:
            self._record(inner, scope["method"], status or _GONE, time.perf_counter() - start)

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Record a request in the metrics and the audit log."""
        # The labels are templates of routes and known methods: a client must not create series of its own.
        route = str(getattr(scope.get("route"), "path", "none"))
        method = method if method in _METHODS else "other"
        self.context.metrics.requests.labels(route, method, status).inc()
        self.context.metrics.request_seconds.labels(route).observe(seconds)
        if self.context.audit_log and route.startswith("/v1/"):
            state, (client, _) = scope["state"], scope.get("client") or ("", 0)
            event = AuditEvent(
                request_id=state["request_id"],
                key=state["identity"].name if "identity" in state else "",
                client=client,
                method=method,
                route=route,
                status=status,
                milliseconds=round(1000 * seconds),
                **{name: state[name] for name in ("model", "files", "slices") if name in state},
            )
            self.context.audit_log.write(event)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine, and cancel it if the client closes the connection.

    Parameters
    ----------
    request
        The request; its body must have been read.
    work
        The coroutine.

    Returns
    -------
    Result
        Result of the coroutine.

    Raises
    ------
    ApiError
        499 if the client has closed the connection.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(_GONE, "client_gone", "the connection closed before the answer; send it again")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    """Wait until the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
