"""Learning rates as pure functions of the step, so that resuming needs no scheduler state."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Schedule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate of `step`, counted from 0 over a stage of `epochs` epochs of `per_epoch` steps."""
        raise NotImplementedError


class Constant(_Schedule):
    """The peak rate throughout."""

    kind: Literal["constant"] = "constant"

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """As the base class says."""
        return peak


class Step(_Schedule):
    """Times `factor` every so many epochs."""

    kind: Literal["step"] = "step"
    every: int = Field(default=7, ge=1, le=100_000, description="epochs")
    factor: float = Field(default=0.1, gt=0, lt=1)

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """As the base class says."""
        return peak * self.factor ** (step // steps_per_epoch // self.every)


class Cosine(_Schedule):
    """A linear rise, then a half cosine down to `floor` (Loshchilov & Hutter, SGDR, 2017, no restarts)."""

    kind: Literal["cosine"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, le=100_000, description="epochs")
    floor: float = Field(default=0.0, ge=0, le=1000, description="lowest rate")
    by: Literal["step", "epoch"] = Field(default="step", description="how often the rate changes")

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """As the base class says."""
        now, end, rising = step, epochs * steps_per_epoch, round(self.warmup * steps_per_epoch)
        if self.by == "epoch":
            now, end, rising = step // steps_per_epoch, epochs, round(self.warmup)
        if now < rising:
            return peak * (now + 1) / rising
        falling = (1 + math.cos(math.pi * (now - rising) / max(1, end - rising))) / 2
        return self.floor + (peak - self.floor) * falling


class OneCycle(_Schedule):
    """Half a cosine up from peak / 25, half a cosine down to peak / 250,000 (Smith & Topin, 2018)."""

    kind: Literal["one-cycle"] = "one-cycle"
    rise: float = Field(default=0.3, gt=0, lt=1, description="share of the steps")

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """As the base class says."""
        last = epochs * steps_per_epoch - 1
        top = self.rise * (last + 1) - 1
        if step <= top:
            start, end, part = peak / 25, peak, step / max(top, 1.0)
        else:
            start, end, part = peak, peak / 250_000, (step - top) / max(1.0, last - top)
        return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class Plateau(BaseModel):
    """The schedule's rate times `factor` whenever the validation loss has not fallen for so many epochs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=5, ge=1, le=100_000, description="epochs")

    def factor_after(self, losses: Sequence[float]) -> float:
        """The factor after epochs with these validation losses; each fall in rate starts the waiting anew."""
        product, best, waited = 1.0, math.inf, 0
        for loss in losses:
            waited = 0 if loss < best else waited + 1
            best = min(best, loss)
            if waited == self.patience:
                product, waited = product * self.factor, 0
        return product


Schedule = Annotated[Constant | Step | Cosine | OneCycle, Field(discriminator="kind")]
