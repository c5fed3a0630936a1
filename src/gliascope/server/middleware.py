"""Around every request: its id, its errors, how long it took."""

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
"""As nginx calls it: nobody reads the answer any more."""


class RequestMiddleware:
    """ASGI middleware: X-Request-ID, HEAD wherever GET is, JSON for what nobody caught, metrics, audit."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name, head = secrets.token_hex(8), scope["method"] == "HEAD"
        scope.setdefault("state", {}).update(request_id=name, head=head)
        asked = {**scope, "method": "GET"} if head else scope  # the server's own copy still says HEAD
        start, status = time.perf_counter(), 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = name
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(asked, receive, tell)
        except Exception as error:
            if status:  # half an answer is out: only the connection can be ended
                raise
            await error_response(error, name, self.context.metrics)(scope, receive, tell)
        finally:
            self._count(asked, scope["method"], status or _GONE, time.perf_counter() - start)

    def _count(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        # Templates of routes, and known methods: what a client writes must not make a series of its own.
        route = str(getattr(scope.get("route"), "path", "none"))
        method = method if method in _METHODS else "other"
        self.context.metrics.requests.labels(route, method, status).inc()
        self.context.metrics.request_seconds.labels(route).observe(seconds)
        if self.context.audit_log and route.startswith("/v1/"):
            said, (client, _) = scope["state"], scope.get("client") or ("", 0)
            event = AuditEvent(
                request_id=said["request_id"],
                key=said["identity"].name if "identity" in said else "",
                client=client,
                method=method,
                route=route,
                status=status,
                milliseconds=round(1000 * seconds),
                **{name: said[name] for name in ("model", "files", "slices") if name in said},
            )
            self.context.audit_log.write(event)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work while the client, whose body has been read, waits. Raises Refusal when it has gone."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(_GONE, "client_gone", "the connection closed before the answer; send it again")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
