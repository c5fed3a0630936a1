"""`POST /v1/predict`: an answer at once."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.server.access import allowed
from gliascope.server.admission import AdmittedRequest
from gliascope.server.context import RequestContext
from gliascope.server.requests import unless_gone
from gliascope.server.routes.openapi import FILES, errors
from gliascope.server.schemas import Prediction
from gliascope.server.service import Order, at_level
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1", tags=["predict"], dependencies=[Depends(allowed("predict"))])

Name = Annotated[str | None, Query(max_length=200, description="which model; the first if none is named")]
Level = Annotated[
    float | None, Query(gt=0, lt=1, description="share of patients whose prediction set holds the truth")
]


@dataclass(slots=True)
class _Watch:
    """Holds a place for every slice."""

    hold: AdmittedRequest
    files: int
    slices: int = 0

    def decoded(self, slices: int) -> None:
        self.files -= 1
        self.slices += slices
        self.hold.reach(self.slices + self.files)

    def keep(self, number: int, one: PreparedSlice, finding: Finding) -> None:
        pass

    def answered(self, slices: int) -> None:
        pass


@router.post(
    "/predict",
    response_model=Prediction,
    responses=errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504, 507),
    openapi_extra=FILES,
)
async def predict(
    request: Request,
    here: RequestContext,
    model: Name = None,
    saliency: Annotated[bool, Query(description="also where the model looked, slice by slice")] = False,
    level: Level = None,
) -> Response:
    """Classify slices and volumes. Research use only; never a diagnosis."""
    here.check_open()
    chosen = here.models.get(model)
    predictor = at_level(chosen, level)
    with here.places.hold() as hold, chosen.used():
        hold.reach(1)
        with upload_folder(here.temporary) as folder:
            uploads = await receive_files(request, folder, here.upload_limits)
            hold.reach(len(uploads))
            request.state.model, request.state.files = chosen.name, len(uploads)
            order = Order(chosen, predictor, uploads, saliency)
            async with asyncio.timeout(here.settings.request_seconds):
                prediction = await unless_gone(
                    request, here.service.predict(order, _Watch(hold, len(uploads)))
                )
            request.state.slices = len(prediction.slices)
    write = prediction.model_dump_json  # many mebibytes with maps
    text = await run_in_threadpool(write) if saliency else write()
    return Response(text, media_type="application/json")
