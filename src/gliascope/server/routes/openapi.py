"""The OpenAPI document, and the parts of it that the types of the routes do not give."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gliascope.server.schemas import Error

FILES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "images, DICOM, NIfTI, figshare .mat, or .zip files of them",
                        }
                    },
                }
            }
        },
    }
}
_UNKNOWN_PARAMETER: dict[str, Any] = {
    "description": "an unknown query parameter",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
_MEANINGS = {
    400: "the body is malformed",
    401: "no API key, or an unknown one",
    403: "the key lacks the scope",
    404: "no such model, job or slice",
    408: "the files arrived too slowly",
    413: "over a limit",
    415: "not multipart/form-data",
    422: "an invalid parameter, or no file that can be read",
    429: "too many requests; see Retry-After",
    503: "busy, starting or stopping; see Retry-After",
    504: "the request took too long",
    507: "the disk is full; see Retry-After",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Make the `responses` of a route for the statuses of its errors."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        responses[status] = {"model": Error, "description": _MEANINGS[status]}
        if status in (429, 503, 507):
            responses[status]["headers"] = _RETRY
    return responses


def _head(operation: dict[str, Any]) -> dict[str, Any]:
    """Describe HEAD by the description of GET, without the bodies of its responses."""
    responses = {
        status: {name: value for name, value in response.items() if name != "content"}
        for status, response in operation["responses"].items()
    }
    name = {"operationId": f"{operation['operationId']}_head", "summary": f"{operation['summary']} (headers)"}
    return operation | name | {"responses": responses}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document: FastAPI's, with HEAD for every GET, and with authentication."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("422", _UNKNOWN_PARAMETER)
        if "get" in operations:
            operations["head"] = _head(operations["get"])
    document.setdefault("components", {})["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "not needed if the server has no keys"}
    }
    document["security"] = [{"key": []}, {}]
    return document
