"""Learning rate schedules as functions of the step, so that resuming needs no scheduler state."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Schedule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of one step.

        Parameters
        ----------
        peak
            Greatest learning rate of the stage.
        step
            Counted from 0 at the start of the stage.
        steps_per_epoch, epochs
            Length of the stage.
        """
        raise NotImplementedError


class Constant(_Schedule):
    """The peak rate at every step."""

    kind: Literal["constant"] = "constant"

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of one step, as the base class describes."""
        return peak


class Step(_Schedule):
    """The rate is multiplied by `factor` after every `every` epochs."""

    kind: Literal["step"] = "step"
    every: int = Field(default=7, ge=1, le=100_000, description="epochs")
    factor: float = Field(default=0.1, gt=0, lt=1)

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of one step, as the base class describes."""
        return peak * self.factor ** (step // steps_per_epoch // self.every)


class Cosine(_Schedule):
    """A linear rise over `warmup` epochs, then half a cosine down to `floor`.

    References
    ----------
    Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017 (here no restarts).

    Examples
    --------
    >>> [round(Cosine().rate(1.0, step, 1, 4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """

    kind: Literal["cosine"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, le=100_000, description="epochs")
    floor: float = Field(default=0.0, ge=0, le=1000, description="lowest rate")
    by: Literal["step", "epoch"] = Field(default="step", description="how often the rate changes")

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of one step, as the base class describes."""
        now, end, rising = step, epochs * steps_per_epoch, round(self.warmup * steps_per_epoch)
        if self.by == "epoch":
            now, end, rising = step // steps_per_epoch, epochs, round(self.warmup)
        if now < rising:
            return peak * (now + 1) / rising
        falling = (1 + math.cos(math.pi * (now - rising) / max(1, end - rising))) / 2
        return self.floor + (peak - self.floor) * falling


class OneCycle(_Schedule):
    """Half a cosine up from peak / 25, then half a cosine down to peak / 250,000.

    References
    ----------
    Smith & Topin, Super-Convergence, 2018.
    """

    kind: Literal["one-cycle"] = "one-cycle"
    rise: float = Field(default=0.3, gt=0, lt=1, description="share of the steps")

    def rate(self, peak: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of one step, as the base class describes."""
        last = epochs * steps_per_epoch - 1
        top = self.rise * (last + 1) - 1
        if step <= top:
            start, end, share = peak / 25, peak, step / max(top, 1.0)
        else:
            start, end, share = peak, peak / 250_000, (step - top) / max(1.0, last - top)
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class Plateau(BaseModel):
    """Multiply the schedule's rate by `factor` after `patience` epochs without a lower validation loss."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=5, ge=1, le=100_000, description="epochs")

    def factor_after(self, losses: Sequence[float]) -> float:
        """Return the product of all factors after epochs with these validation losses.

        Each reduction of the rate starts a new period of `patience` epochs.

        Examples
        --------
        >>> Plateau(factor=0.5, patience=2).factor_after([1.0, 1.1, 1.2])
        0.5
        """
        product, best, waited = 1.0, math.inf, 0
        for loss in losses:
            waited = 0 if loss < best else waited + 1
            best = min(best, loss)
            if waited == self.patience:
                product, waited = product * self.factor, 0
        return product


Schedule = Annotated[Constant | Step | Cosine | OneCycle, Field(discriminator="kind")]
