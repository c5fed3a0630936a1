"""The HTTP app."""

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
    """An app that serves the Bundles. Raises GliascopeError where one, or the keys, cannot be loaded."""
    context = Context(settings, sources)
    app = FastAPI(
        title="Gliascope",
        version=__version__,
        description=f"Brain tumour classification on MRI and CT slices. {RESEARCH_USE}",
        lifespan=context.lifespan,
        openapi_url=None,  # `routes.operations` answers it, as any other address
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(check_query_parameters)],
    )
    app.state.context, app.state.keys, app.state.rate = context, context.keys, context.rate_limiter
    app.state.origins = settings.allowed_origins
    for part in (predict, jobs, models, operations, page):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=page.STATIC))
    install_error_handlers(app)
    _document(app)
    # The last added sees a request first.
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


def _document(app: FastAPI) -> None:
    def openapi() -> dict[str, object]:
        app.openapi_schema = app.openapi_schema or openapi_document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
