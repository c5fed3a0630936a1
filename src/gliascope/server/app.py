"""The ASGI application: routes, middleware, error handlers."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from gliascope import RESEARCH_USE, __version__
from gliascope.server.context import Context
from gliascope.server.errors import install_error_handlers
from gliascope.server.headers import SecurityHeaders
from gliascope.server.middleware import RequestMiddleware
from gliascope.server.models import ModelSource
from gliascope.server.query import check_query_parameters
from gliascope.server.routes import jobs, models, operations, page, predict
from gliascope.server.routes.openapi import openapi_document
from gliascope.server.settings import Settings


def create_app(settings: Settings, sources: Sequence[ModelSource]) -> FastAPI:
    """Make the application that serves bundles.

    Parameters
    ----------
    settings
        Settings of the server.
    sources
        Bundles to serve; the first is the default model.

    Returns
    -------
    FastAPI
        Its `state.context` is the `Context` that the routes share.

    Raises
    ------
    GliascopeError
        If a bundle or the key file cannot be loaded.
    """
    context = Context(settings, sources)
    app = FastAPI(
        title="Gliascope",
        version=__version__,
        description=f"Brain tumour classification on MRI and CT slices. {RESEARCH_USE}",
        lifespan=context.lifespan,
        openapi_url=None,  # /openapi.json is a route of `routes.operations`, with the checks of every route
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(check_query_parameters)],
    )
    app.state.context, app.state.keys, app.state.rate = context, context.keys, context.rate_limiter
    app.state.origins = settings.allowed_origins
    for module in (predict, jobs, models, operations, page):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=page.STATIC))
    install_error_handlers(app)
    _install_openapi(app)
    # The middleware added last sees a request first.
    app.add_middleware(RequestMiddleware, context=context)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Authorization"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
        )
    app.add_middleware(SecurityHeaders)
    return app


def _install_openapi(app: FastAPI) -> None:
    """Let `app.openapi` return the document of `routes.openapi`, made once."""

    def openapi() -> dict[str, object]:
        app.openapi_schema = app.openapi_schema or openapi_document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
