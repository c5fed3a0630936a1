"""Averages of weights over the steps of training."""

from collections.abc import Callable, Sequence

from torch import Tensor


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
