"""Whatever goes wrong, as one kind of JSON."""

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
    404: "there is nothing here; /openapi.json lists what there is",
    405: "this address is used by another method; see the Allow header and /openapi.json",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


def install_error_handlers(app: FastAPI) -> None:
    """Let the app answer every error this way."""
    app.add_exception_handler(ApiError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)


def error_response(error: Exception, request_id: str, metrics: Metrics) -> JSONResponse:
    """What the client is told of an error, which is counted by its code."""
    refusal = to_api_error(error, request_id)
    metrics.refusals.labels(refusal.code).inc()
    body = ErrorBody(code=refusal.code, message=refusal.message, request_id=request_id)
    return JSONResponse(Error(error=body).model_dump(), refusal.status, refusal.headers)


def to_api_error(error: Exception, request_id: str) -> ApiError:
    """Any error as one the client may read; what nobody foresaw is logged, by where and not by what."""
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
            return ApiError(504, "timeout", "it took too long; send fewer files, or send them to /v1/jobs")
        case OSError() if error.errno in _FULL:
            message = "the server has no space left on its disk; try again later"
            return ApiError(507, "disk_full", message, {"Retry-After": "30"})
    # The message might quote the file that was read.
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-6:]))
    _log.error("request %s: %s at %s", request_id, type(error).__name__, where)
    return ApiError(500, "internal", "the server failed at this; its log has more under the request's id")


def _first(errors: Any) -> str:
    one: Mapping[str, Any] = errors[0]
    return f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"


async def _answer(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException) and error.status_code == 405:
        # The framework knows the methods of one route, and an address may have several.
        allowed = allowed_methods(request) or ["GET", "HEAD"]
        error.headers = dict(error.headers or {}) | {"Allow": ", ".join(allowed)}
    return error_response(error, request.state.request_id, request.app.state.context.metrics)
