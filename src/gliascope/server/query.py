"""Checks of a request against the OpenAPI document: its query parameters and its method."""

from collections import Counter
from typing import Any

from starlette.requests import Request

from gliascope.server.api_error import ApiError


def check_query_parameters(request: Request) -> None:
    """Refuse query parameters that are unknown or given twice; a dependency of every route.

    Without this check such a parameter would be ignored, and the client would not notice a spelling error.

    Raises
    ------
    ApiError
        422; the message names the parameter and the parameters that the route knows.
    """
    operation = _operations(request).get(request.method.lower(), {})
    known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [f"{name!a} is unknown" for name in given if name not in known]
    wrong += [f"{name} is given twice" for name in known if given[name] > 1]
    if wrong:
        remedy = f"this address knows {', '.join(known)}" if known else "this address takes none"
        raise ApiError(422, "unknown_parameter", f"query parameter {wrong[0][:100]}; {remedy}")


def allowed_methods(request: Request) -> list[str]:
    """List the HTTP methods of the request's path by the OpenAPI document, or none if it lacks the path."""
    return sorted(name.upper() for name in _operations(request))


def _operations(request: Request) -> dict[str, Any]:
    """OpenAPI operations of the request's path, by method in lower case."""
    path = getattr(request.scope.get("route"), "path", None)
    operations: dict[str, Any] = request.app.openapi()["paths"].get(path, {})
    return operations
