"""Routes for the operation of the server: its health, its metrics, and the OpenAPI document."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gliascope.server.access import authorize
from gliascope.server.context import RequestContext
from gliascope.server.routes.openapi import METRICS_RESPONSES, error_responses
from gliascope.server.schemas import Health

router = APIRouter(tags=["operations"])


@router.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.get("/healthz")
async def healthz(context: RequestContext) -> Health:
    """200 as long as the server runs."""
    return Health(status=context.state)


@router.get("/readyz", responses=error_responses(503))
async def readyz(context: RequestContext) -> Health:
    """200 while the server accepts work, 503 while it starts or stops."""
    context.check_accepting()
    return Health(status=context.state)


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(authorize("admin"))],
    responses=METRICS_RESPONSES | error_responses(401, 403),
)
async def metrics(context: RequestContext) -> Response:
    """Metrics for Prometheus."""
    context.update_gauges()
    return Response(context.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
