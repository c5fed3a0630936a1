"""`/v1/jobs`: predictions in the background, whose results are fetched later."""

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from gliascope.server import schemas
from gliascope.server.access import authorize
from gliascope.server.context import RequestContext
from gliascope.server.job import INPUTS_FOLDER, Job
from gliascope.server.keys import Identity
from gliascope.server.prediction_request import PredictionRequest, predictor_at_level
from gliascope.server.routes.openapi import FILES_BODY, error_responses
from gliascope.server.routes.predict import Level, ModelName
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Caller = Annotated[Identity, Depends(authorize("predict"))]
JobId = Annotated[str, Path(max_length=64, description="the job's id, from POST")]
SliceNumber = Annotated[int, Path(ge=0, le=1_000_000, description="position in `result.slices`, from 0")]
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "the picture"}
}


@router.post(
    "",
    status_code=202,
    response_model=schemas.Job,
    responses=error_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=FILES_BODY,
)
async def submit(
    request: Request,
    *,
    context: RequestContext,
    caller: Caller,
    model: ModelName = None,
    level: Level = None,
) -> Response:
    """Send files to be classified; the header Location has the address of the job."""
    context.check_accepting()
    chosen = context.models.get(model)
    predictor = predictor_at_level(chosen, level)
    with context.jobs.reserve(), ExitStack() as folder_lease, ExitStack() as model_lease:
        model_lease.enter_context(chosen.in_use())
        await context.jobs.free_disk_space()
        folder = folder_lease.enter_context(upload_folder(context.temporary))
        (folder / INPUTS_FOLDER).mkdir(mode=0o700)
        uploads = await receive_files(request, folder / INPUTS_FOLDER, context.upload_limits)
        context.check_accepting()
        info = chosen.bundle.info
        job = Job(
            owner=caller.name,
            request_id=request.state.request_id,
            model=chosen.name,
            files=len(uploads),
            saliency_preprocessing=info.preprocessing if info.activation_maps else None,
            request=PredictionRequest(chosen, predictor, uploads, store_slices=True),
            folder=folder,
            max_slices=context.settings.job_slices,
            model_lease=model_lease.pop_all(),
            folder_lease=folder_lease.pop_all(),
        )
        context.jobs.add(job)
    request.state.model, request.state.files = chosen.name, len(uploads)
    return Response(job.to_json(), 202, {"Location": f"/v1/jobs/{job.id}"}, media_type="application/json")


@router.get("/{job}", response_model=schemas.Job, responses=error_responses(401, 403, 404, 429))
async def ask(request: Request, context: RequestContext, caller: Caller, job: JobId) -> Response:
    """The state and progress of a job, and its result once it is done."""
    owned = context.jobs.get(job, caller.name)
    content = await run_in_threadpool(owned.to_json, fetch=not request.state.head)
    return Response(content, media_type="application/json")


@router.delete("/{job}", status_code=204, responses=error_responses(401, 403, 404, 429))
async def forget(context: RequestContext, caller: Caller, job: JobId) -> None:
    """Cancel a job if it runs, and delete it."""
    await context.jobs.remove(context.jobs.get(job, caller.name))


@router.get(
    "/{job}/slices/{number}/image",
    response_class=Response,
    responses=_PICTURE | error_responses(401, 403, 404, 429),
)
async def image(context: RequestContext, caller: Caller, job: JobId, number: SliceNumber) -> Response:
    """A slice as it was read: PNG, 8 bits, grey or RGB."""
    owned = context.jobs.get(job, caller.name)
    return Response(await context.service.run_on_pixels(owned.image, number), media_type="image/png")


@router.get(
    "/{job}/slices/{number}/saliency",
    response_class=Response,
    responses=_PICTURE | error_responses(401, 403, 404, 429),
)
async def saliency(context: RequestContext, caller: Caller, job: JobId, number: SliceNumber) -> Response:
    """The saliency map of a slice: RGBA PNG of the slice's size; the more opaque, the more important."""
    owned = context.jobs.get(job, caller.name)
    return Response(await context.service.run_on_pixels(owned.saliency, number), media_type="image/png")
