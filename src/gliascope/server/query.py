"""What OpenAPI says of a route, held against what a client asks of it."""

from collections import Counter
from typing import Any

from starlette.requests import Request

from gliascope.server.api_error import ApiError


def check_query_parameters(request: Request) -> None:
    """Dependency of every route: refuse what would be ignored, a parameter that is unknown or there twice.

    Raises Refusal (422), which names them and those that the route knows.
    """
    operation = _operations(request).get(request.method.lower(), {})
    known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [f"{name!a} is unknown" for name in given if name not in known]
    wrong += [f"{name} is there twice" for name in known if given[name] > 1]
    if wrong:
        there = f"this address knows {', '.join(known)}" if known else "this address takes none"
        raise ApiError(422, "unknown_parameter", f"query parameter {wrong[0][:100]}; {there}")


def allowed_methods(request: Request) -> list[str]:
    """Those that the asked route's address answers, as OpenAPI has them; none where it is not in there."""
    return sorted(name.upper() for name in _operations(request))


def _operations(request: Request) -> dict[str, Any]:
    """By method, in lower case."""
    path = getattr(request.scope.get("route"), "path", None)
    found: dict[str, Any] = request.app.openapi()["paths"].get(path, {})
    return found
