"""Base classes of the values that evaluation returns.

They are frozen pydantic models, so whoever stores a result as JSON can read it back with the same class.
"""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


FiniteOrNone = Annotated[float | None, BeforeValidator(_finite)]
"""A number, or None (null in JSON) where it is undefined: JSON has neither NaN nor infinity."""


class FrozenModel(BaseModel):
    """Base of all results: instances cannot be changed, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(FrozenModel):
    """A number with its 95 % confidence interval, as the functions of `evaluation.intervals` compute it."""

    value: FiniteOrNone = Field(description="null where the number is undefined")
    low: FiniteOrNone = Field(description="lower end; null where there are too few groups for an interval")
    high: FiniteOrNone = Field(description="upper end; null where there are too few groups for an interval")
