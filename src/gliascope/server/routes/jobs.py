"""`/v1/jobs`: an answer later."""

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from gliascope.server.access import allowed
from gliascope.server.context import RequestContext
from gliascope.server.job import INPUTS, Job
from gliascope.server.keys import Identity
from gliascope.server.routes.openapi import FILES, errors
from gliascope.server.routes.predict import Level, Name
from gliascope.server.schemas import Job as Told
from gliascope.server.service import Order, at_level
from gliascope.server.uploads import receive_files, upload_folder

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Who = Annotated[Identity, Depends(allowed("predict"))]
Id = Annotated[str, Path(max_length=64, description="as POST gave it")]
Number = Annotated[int, Path(ge=0, le=1_000_000, description="place in `result.slices`, from 0")]
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "the picture"}
}


@router.post(
    "",
    status_code=202,
    response_model=Told,
    responses=errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=FILES,
)
async def submit(
    request: Request, here: RequestContext, who: Who, model: Name = None, level: Level = None
) -> Response:
    """Leave files to be classified; ask for the answer at the address in Location."""
    here.check_open()
    chosen = here.models.get(model)
    predictor = at_level(chosen, level)
    with here.jobs.place(), ExitStack() as kept, ExitStack() as use:
        use.enter_context(chosen.used())
        await here.jobs.free_disk()
        folder = kept.enter_context(upload_folder(here.temporary))
        (folder / INPUTS).mkdir(mode=0o700)
        uploads = await receive_files(request, folder / INPUTS, here.upload_limits)
        here.check_open()
        info = chosen.bundle.info
        job = Job(
            owner=who.name,
            request_id=request.state.request_id,
            model=chosen.name,
            files=len(uploads),
            maps_by=info.preprocessing if info.activation_maps else None,
            order=Order(chosen, predictor, uploads, keep=True),
            folder=folder,
            most_slices=here.settings.job_slices,
            model_use=use.pop_all(),
            kept=kept.pop_all(),
        )
        here.jobs.add(job)
    request.state.model, request.state.files = chosen.name, len(uploads)
    return Response(job.tell(), 202, {"Location": f"/v1/jobs/{job.id}"}, media_type="application/json")


@router.get("/{job}", response_model=Told, responses=errors(401, 403, 404, 429))
async def ask(request: Request, here: RequestContext, who: Who, job: Id) -> Response:
    """How far the job is; its result once it is done."""
    found = here.jobs.get(job, who.name)
    told = await run_in_threadpool(found.tell, fetch=not request.state.head)
    return Response(told, media_type="application/json")


@router.delete("/{job}", status_code=204, responses=errors(401, 403, 404, 429))
async def forget(here: RequestContext, who: Who, job: Id) -> None:
    """Cancel the job if it runs, and forget it."""
    await here.jobs.forget(here.jobs.get(job, who.name))


@router.get(
    "/{job}/slices/{number}/image", response_class=Response, responses=_PICTURE | errors(401, 403, 404, 429)
)
async def image(here: RequestContext, who: Who, job: Id, number: Number) -> Response:
    """The slice as it was read: PNG, 8 bits, grey or RGB."""
    found = here.jobs.get(job, who.name)
    return Response(await here.service.draw(found.image, number), media_type="image/png")


@router.get(
    "/{job}/slices/{number}/saliency",
    response_class=Response,
    responses=_PICTURE | errors(401, 403, 404, 429),
)
async def saliency(here: RequestContext, who: Who, job: Id, number: Number) -> Response:
    """Where the model looked: RGBA PNG of the slice's size, the more opaque, the more it counted."""
    found = here.jobs.get(job, who.name)
    return Response(await here.service.draw(found.saliency, number), media_type="image/png")
