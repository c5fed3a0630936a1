"""`POST /v1/predict`: an answer at once."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.server.access import authorize
from gliascope.server.admission import AdmittedRequest
from gliascope.server.context import RequestContext
from gliascope.server.middleware import unless_disconnected
from gliascope.server.routes.openapi import FILES_BODY, error_responses
from gliascope.server.schemas import Prediction
from gliascope.server.service import PredictionRequest, predictor_at_level
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1", tags=["predict"], dependencies=[Depends(authorize("predict"))])

ModelName = Annotated[
    str | None, Query(max_length=200, description="which model; the first if none is named")
]
Level = Annotated[
    float | None, Query(gt=0, lt=1, description="share of patients whose prediction set holds the truth")
]


@dataclass(slots=True)
class _AdmissionListener:
    """Holds a place for every slice."""

    hold: AdmittedRequest
    files: int
    slices: int = 0

    def on_file_decoded(self, slices: int) -> None:
        self.files -= 1
        self.slices += slices
        self.hold.reserve(self.slices + self.files)

    def on_slice_assessed(self, number: int, one: PreparedSlice, finding: Finding) -> None:
        pass

    def on_slices_predicted(self, slices: int) -> None:
        pass


@router.post(
    "/predict",
    response_model=Prediction,
    responses=error_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504, 507),
    openapi_extra=FILES_BODY,
)
async def predict(
    request: Request,
    here: RequestContext,
    model: ModelName = None,
    saliency: Annotated[bool, Query(description="also where the model looked, slice by slice")] = False,
    level: Level = None,
) -> Response:
    """Classify slices and volumes. Research use only; never a diagnosis."""
    here.check_accepting()
    chosen = here.models.get(model)
    predictor = predictor_at_level(chosen, level)
    with here.admission.new_request() as hold, chosen.in_use():
        hold.reserve(1)
        with upload_folder(here.temporary) as folder:
            uploads = await receive_files(request, folder, here.upload_limits)
            hold.reserve(len(uploads))
            request.state.model, request.state.files = chosen.name, len(uploads)
            order = PredictionRequest(chosen, predictor, uploads, saliency)
            async with asyncio.timeout(here.settings.request_seconds):
                prediction = await unless_disconnected(
                    request, here.service.predict(order, _AdmissionListener(hold, len(uploads)))
                )
            request.state.slices = len(prediction.slices)
    write = prediction.model_dump_json  # many mebibytes with maps
    text = await run_in_threadpool(write) if saliency else write()
    return Response(text, media_type="application/json")
