"""`POST /v1/predict`: a prediction in the response."""

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
from gliascope.server.prediction_request import PredictionRequest, predictor_at_level
from gliascope.server.routes.openapi import FILES_BODY, error_responses
from gliascope.server.schemas import Prediction
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1", tags=["predict"], dependencies=[Depends(authorize("predict"))])

ModelName = Annotated[
    str | None, Query(max_length=200, description="name of the model; the first if not given")
]
Level = Annotated[
    float | None, Query(gt=0, lt=1, description="share of patients whose prediction set holds the truth")
]


@dataclass(slots=True)
class _AdmissionListener:
    """Reserves every slice of a request: one for each file that is not decoded yet, then its true number."""

    admitted: AdmittedRequest
    files: int
    slices: int = 0

    def on_file_decoded(self, slices: int) -> None:
        self.files -= 1
        self.slices += slices
        self.admitted.reserve(self.slices + self.files)

    def on_slice_assessed(self, number: int, prepared: PreparedSlice, finding: Finding) -> None:
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
    *,
    context: RequestContext,
    model: ModelName = None,
    saliency: Annotated[bool, Query(description="also return a saliency map of each slice")] = False,
    level: Level = None,
) -> Response:
    """Classify slices and volumes. Research use only; never a diagnosis."""
    context.check_accepting()
    chosen = context.models.get(model)
    predictor = predictor_at_level(chosen, level)
    with context.admission.new_request() as admitted, chosen.in_use():
        admitted.reserve(1)
        with upload_folder(context.temporary) as folder:
            uploads = await receive_files(request, folder, context.upload_limits)
            admitted.reserve(len(uploads))
            request.state.model, request.state.files = chosen.name, len(uploads)
            prediction_request = PredictionRequest(chosen, predictor, uploads, saliency)
            listener = _AdmissionListener(admitted, len(uploads))
            async with asyncio.timeout(context.settings.request_seconds):
                prediction = await unless_disconnected(
                    request, context.service.predict(prediction_request, listener)
                )
            request.state.slices = len(prediction.slices)
    to_json = prediction.model_dump_json  # with saliency maps it takes long: they are many mebibytes
    text = await run_in_threadpool(to_json) if saliency else to_json()
    return Response(text, media_type="application/json")
