"""Security headers of every response, and the check for requests from pages of other sites."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR = 365 * 24 * 3600
_CACHEABLE = "/static/"
"""Start of the paths whose responses a browser may cache, if it revalidates them each time."""


class SecurityHeaders:
    """ASGI middleware that adds security headers to every response, also to errors.

    Only the page's own files may be cached. Under TLS, the header Strict-Transport-Security is added.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                cacheable = scope["path"].startswith(_CACHEABLE)
                headers["Cache-Control"] = "no-cache" if cacheable else "no-store"
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
            await send(message)

        await self.app(scope, receive, send_with_headers)


def is_cross_site(headers: Headers, origins: Collection[str] = ()) -> bool:
    """Whether a page of another site made the browser send this request.

    The browser says so in the header Sec-Fetch-Site. A server without keys has no other means to tell its
    user's requests from those of a page that the user visits.

    Parameters
    ----------
    headers
        Headers of the request.
    origins
        Origins whose pages may send requests.
    """
    foreign = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
    return foreign and headers.get("origin") not in origins
