"""Learning rates and averages as pure functions of the step, so that resuming needs no scheduler state."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate: a linear rise over the first `warmup` fraction, then a half cosine to 0.

    Loshchilov & Hutter, SGDR, 2017, without restarts.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average in place, for AveragedModel: after n steps the past weighs
    min(decay, (1 + n) / (10 + n)), so that a short training is not held back by where it began.
    """

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        past = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - past)
            else:
                old.copy_(new)  # the number of batches that batch normalisation has seen

    return update
