"""`/v1/models` and `/v1/model`: the models of the server."""

from fastapi import APIRouter, Depends, Request

from gliascope.classes import describe_classes
from gliascope.server.access import authorize
from gliascope.server.context import RequestContext
from gliascope.server.models import ServedModel
from gliascope.server.routes.openapi import error_responses
from gliascope.server.routes.predict import ModelName
from gliascope.server.schemas import CalibratorFacts, ModelFacts, ModelSummary, Reloaded
from gliascope.uncertainty.calibrator import Calibrator

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models", dependencies=[Depends(authorize("predict"))], responses=error_responses(401, 403, 429))
async def models(context: RequestContext) -> list[ModelSummary]:
    """All models; the first is the default."""
    return [
        ModelSummary(
            name=model.name,
            sha256=model.bundle.info.model_sha256,
            recipe=model.bundle.info.recipe,
            classes=list(model.bundle.info.classes),
            saliency=model.bundle.info.activation_maps,
            default=number == 0,
            reload_failed=model.reload_failed,
        )
        for number, model in enumerate(context.models)
    ]


@router.get(
    "/model", dependencies=[Depends(authorize("predict"))], responses=error_responses(401, 403, 404, 429)
)
async def model(context: RequestContext, model: ModelName = None) -> ModelFacts:
    """A model's classes, preprocessing, calibrator, measured numbers, licences and card."""
    return _facts(context.models.get(model))


@router.post(
    "/models/reload", dependencies=[Depends(authorize("admin"))], responses=error_responses(401, 403, 429)
)
async def reload(request: Request, context: RequestContext) -> Reloaded:
    """Load the key file and all bundles again. One that cannot be loaded keeps its present state."""
    return await context.reload(request.app)


def _calibration(calibrator: Calibrator) -> CalibratorFacts:
    return CalibratorFacts(
        level=calibrator.level, temperature=calibrator.temperature, groups=calibrator.groups
    )


def _facts(model: ServedModel) -> ModelFacts:
    info, calibrator = model.bundle.info, model.predictor.calibrator
    known = describe_classes(info.classes)
    return ModelFacts(
        name=model.name,
        sha256=info.model_sha256,
        recipe=info.recipe,
        classes={name: known.get(name) for name in info.classes},
        preprocessing=info.preprocessing.model_dump(),
        calibrator=None if calibrator is None else _calibration(calibrator),
        metrics=info.metrics,
        parameters=info.parameters,
        saliency=info.activation_maps,
        licences=info.licences,
        versions=info.versions,
        card=model.card,
    )
