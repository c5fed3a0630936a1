"""What a request or a job asks of the prediction service, and how the service reports its progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gliascope.errors import GliascopeError
from gliascope.inference.finding import Finding
from gliascope.inference.predict import Predictor, PreparedSlice
from gliascope.server.api_error import ApiError
from gliascope.server.models import ServedModel
from gliascope.server.uploads import Upload


class ProgressListener(Protocol):
    """What a request or a job is told while its files are predicted."""

    def on_file_decoded(self, slices: int) -> None:
        """Learn that a file has been decoded, to 0 slices if it was rejected. May raise ApiError."""

    def on_slice_assessed(self, number: int, prepared: PreparedSlice, finding: Finding) -> None:
        """Receive a slice by its position in the prediction; only if the request says `store_slices`.

        It is called in a thread.
        """

    def on_slices_predicted(self, slices: int) -> None:
        """Learn how many slices have been predicted so far."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """Files to predict, and how.

    Attributes
    ----------
    model
        The model, which runs the graph.
    predictor
        The model's predictor, at the level that the client chose.
    uploads
        The files.
    saliency
        Whether the prediction contains saliency maps.
    store_slices
        Whether the listener receives each slice.
    """

    model: ServedModel
    predictor: Predictor
    uploads: Sequence[Upload]
    saliency: bool = False
    store_slices: bool = False


def predictor_at_level(model: ServedModel, level: float | None) -> Predictor:
    """Return the predictor of a model at a level of its prediction sets.

    Parameters
    ----------
    model
        The model.
    level
        Share of patients whose sets hold the truth, between 0 and 1; None for the model's own level.

    Raises
    ------
    ApiError
        422 if the model has no calibrator, or too few calibration groups for the level.
    """
    try:
        return model.predictor if level is None else model.predictor.with_level(level)
    except GliascopeError as error:
        raise ApiError(422, "bad_level", str(error)) from None
