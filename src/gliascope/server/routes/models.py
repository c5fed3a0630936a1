"""`/v1/models`, `/v1/model`: what answers."""

from fastapi import APIRouter, Depends, Request

from gliascope.classes import describe
from gliascope.server.access import authorize
from gliascope.server.context import RequestContext
from gliascope.server.models import ServedModel
from gliascope.server.routes.openapi import error_responses
from gliascope.server.routes.predict import ModelName
from gliascope.server.schemas import CalibratorFacts, ModelFacts, ModelSummary, Reloaded
from gliascope.uncertainty.calibrator import Calibrator

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models", dependencies=[Depends(authorize("predict"))], responses=error_responses(401, 403, 429))
async def models(here: RequestContext) -> list[ModelSummary]:
    """The models that can be chosen; the first is the default."""
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
        for number, model in enumerate(here.models)
    ]


@router.get(
    "/model", dependencies=[Depends(authorize("predict"))], responses=error_responses(401, 403, 404, 429)
)
async def model(here: RequestContext, model: ModelName = None) -> ModelFacts:
    """All that is known of a model: classes, thresholds, numbers, licences, its card."""
    return _facts(here.models.get(model))


@router.post(
    "/models/reload", dependencies=[Depends(authorize("admin"))], responses=error_responses(401, 403, 429)
)
async def reload(request: Request, here: RequestContext) -> Reloaded:
    """Load keys and models again from where they lie; a damaged one stays what it was."""
    return await here.reload(request.app)


def _calibration(calibrator: Calibrator) -> CalibratorFacts:
    return CalibratorFacts(
        level=calibrator.level, temperature=calibrator.temperature, groups=calibrator.groups
    )


def _facts(model: ServedModel) -> ModelFacts:
    info, calibrator = model.bundle.info, model.predictor.calibrator
    known = describe(info.classes)
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
