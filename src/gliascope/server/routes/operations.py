"""For those who run the server: is it alive, does it take work, how is it doing."""

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
    """What there is, for programs."""
    return JSONResponse(request.app.openapi())


@router.get("/healthz")
async def healthz(here: RequestContext) -> Health:
    """200 as long as the server lives."""
    return Health(status=here.state)


@router.get("/readyz", responses=error_responses(503))
async def readyz(here: RequestContext) -> Health:
    """200 while the server takes work, 503 while it starts or stops."""
    here.check_accepting()
    return Health(status=here.state)


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(authorize("admin"))],
    responses=METRICS_RESPONSES | error_responses(401, 403),
)
async def metrics(here: RequestContext) -> Response:
    """Counts and times, for Prometheus."""
    here.update_gauges()
    return Response(here.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
