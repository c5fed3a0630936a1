"""Error responses: any exception becomes the same JSON form, with a status and a remedy."""

import errno
import logging
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gliascope.server.api_error import ApiError
from gliascope.server.metrics import Metrics
from gliascope.server.query import allowed_methods
from gliascope.server.schemas import Error, ErrorBody

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_REMEDIES = {
    404: "no such address; /openapi.json lists all addresses",
    405: "this address does not take this method; see the Allow header and /openapi.json",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


def install_error_handlers(app: FastAPI) -> None:
    """Let the application answer the errors of routes and of the framework by `error_response`."""
    app.add_exception_handler(ApiError, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    app.add_exception_handler(HTTPException, _handle)


def error_response(error: Exception, request_id: str, metrics: Metrics) -> JSONResponse:
    """Make the response to an error, and count the error by its code.

    Parameters
    ----------
    error
        Any exception.
    request_id
        Identifier of the request, for the response and the log.
    metrics
        Metrics of the server.
    """
    api_error = to_api_error(error, request_id)
    metrics.refusals.labels(api_error.code).inc()
    body = ErrorBody(code=api_error.code, message=api_error.message, request_id=request_id)
    return JSONResponse(Error(error=body).model_dump(), api_error.status, api_error.headers)


def to_api_error(error: Exception, request_id: str) -> ApiError:
    """Turn any exception into one that the client may read.

    An unexpected exception becomes status 500. The log then names its type and the lines of code, and not its
    message, which might quote the content of a file.
    """
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return ApiError(422, "invalid_request", _first(error.errors()))
        case HTTPException():
            code = _CODES.get(error.status_code, "http_error")
            message = _REMEDIES.get(error.status_code, str(error.detail))
            return ApiError(error.status_code, code, message, error.headers)
        case TimeoutError():
            message = "the request took too long; send fewer files, or send them to /v1/jobs"
            return ApiError(504, "timeout", message)
        case OSError() if error.errno in _FULL:
            message = "the server has no space left on its disk; try again later"
            return ApiError(507, "disk_full", message, {"Retry-After": "30"})
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-6:]))
    _log.error("request %s: %s at %s", request_id, type(error).__name__, where)
    message = "the server failed; its log has the error under this request_id"
    return ApiError(500, "internal", message)


def _first(errors: Any) -> str:
    """Where the first validation error is, and what it is."""
    first: Mapping[str, Any] = errors[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


async def _handle(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException) and error.status_code == 405:
        # The framework gives the methods of one route only, and a path may have several routes.
        allowed = allowed_methods(request) or ["GET", "HEAD"]
        error.headers = dict(error.headers or {}) | {"Allow": ", ".join(allowed)}
    return error_response(error, request.state.request_id, request.app.state.context.metrics)
