"""A request that is turned down, as the client is told it."""

from collections.abc import Mapping

from gliascope.errors import GliascopeError


class ApiError(GliascopeError):
    """Becomes `{"error": {"code", "message", …}}`.

    status: of HTTP. code: snake_case, for programs. message: one line that says the remedy, and nothing of
    the server's paths or the files' content. headers: of the answer.
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
    """Files that are not taken."""


def too_large(message: str) -> UploadError:
    """413."""
    return UploadError(413, "too_large", message)
