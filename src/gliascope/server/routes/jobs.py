"""`/v1/jobs`: an answer later."""

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from gliascope.server.access import authorize
from gliascope.server.context import RequestContext
from gliascope.server.job import INPUTS_FOLDER, Job
from gliascope.server.keys import Identity
from gliascope.server.routes.openapi import FILES_BODY, error_responses
from gliascope.server.routes.predict import Level, ModelName
from gliascope.server.schemas import Job as Told
from gliascope.server.service import PredictionRequest, predictor_at_level
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Caller = Annotated[Identity, Depends(authorize("predict"))]
JobId = Annotated[str, Path(max_length=64, description="as POST gave it")]
SliceNumber = Annotated[int, Path(ge=0, le=1_000_000, description="place in `result.slices`, from 0")]
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "the picture"}
}


@router.post(
    "",
    status_code=202,
    response_model=Told,
    responses=error_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=FILES_BODY,
)
async def submit(
    request: Request, here: RequestContext, who: Caller, model: ModelName = None, level: Level = None
) -> Response:
    """Leave files to be classified; ask for the answer at the address in Location."""
    here.check_accepting()
    chosen = here.models.get(model)
    predictor = predictor_at_level(chosen, level)
    with here.jobs.reserve(), ExitStack() as kept, ExitStack() as use:
        use.enter_context(chosen.in_use())
        await here.jobs.free_disk_space()
        folder = kept.enter_context(upload_folder(here.temporary))
        (folder / INPUTS_FOLDER).mkdir(mode=0o700)
        uploads = await receive_files(request, folder / INPUTS_FOLDER, here.upload_limits)
        here.check_accepting()
        info = chosen.bundle.info
        job = Job(
            owner=who.name,
            request_id=request.state.request_id,
            model=chosen.name,
            files=len(uploads),
            saliency_preprocessing=info.preprocessing if info.activation_maps else None,
            request=PredictionRequest(chosen, predictor, uploads, store_slices=True),
            folder=folder,
            max_slices=here.settings.job_slices,
            model_lease=use.pop_all(),
            folder_lease=kept.pop_all(),
        )
        here.jobs.add(job)
    request.state.model, request.state.files = chosen.name, len(uploads)
    return Response(job.to_json(), 202, {"Location": f"/v1/jobs/{job.id}"}, media_type="application/json")


@router.get("/{job}", response_model=Told, responses=error_responses(401, 403, 404, 429))
async def ask(request: Request, here: RequestContext, who: Caller, job: JobId) -> Response:
    """How far the job is; its result once it is done."""
    found = here.jobs.get(job, who.name)
    told = await run_in_threadpool(found.to_json, fetch=not request.state.head)
    return Response(told, media_type="application/json")


@router.delete("/{job}", status_code=204, responses=error_responses(401, 403, 404, 429))
async def forget(here: RequestContext, who: Caller, job: JobId) -> None:
    """Cancel the job if it runs, and forget it."""
    await here.jobs.remove(here.jobs.get(job, who.name))


@router.get(
    "/{job}/slices/{number}/image",
    response_class=Response,
    responses=_PICTURE | error_responses(401, 403, 404, 429),
)
async def image(here: RequestContext, who: Caller, job: JobId, number: SliceNumber) -> Response:
    """The slice as it was read: PNG, 8 bits, grey or RGB."""
    found = here.jobs.get(job, who.name)
    return Response(await here.service.run_on_pixels(found.image, number), media_type="image/png")


@router.get(
    "/{job}/slices/{number}/saliency",
    response_class=Response,
    responses=_PICTURE | error_responses(401, 403, 404, 429),
)
async def saliency(here: RequestContext, who: Caller, job: JobId, number: SliceNumber) -> Response:
    """Where the model looked: RGBA PNG of the slice's size, the more opaque, the more it counted."""
    found = here.jobs.get(job, who.name)
    return Response(await here.service.run_on_pixels(found.saliency, number), media_type="image/png")
