"""Errors that become the response to a request."""

from collections.abc import Mapping

from gliascope.errors import GliascopeError


class ApiError(GliascopeError):
    """An error response: `{"error": {"code": …, "message": …, "request_id": …}}`.

    Parameters
    ----------
    status
        HTTP status.
    code
        Kind of error, in snake_case, for programs.
    message
        One line that names the remedy. It contains no path of the server and no content of a file.
    headers
        Additional headers of the response.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)


class UploadError(ApiError):
    """An error response to uploaded files."""


def too_large(message: str) -> UploadError:
    """Make the error of an upload over a limit (413)."""
    return UploadError(413, "too_large", message)
