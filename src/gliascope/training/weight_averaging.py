"""Averages of weights over the steps of training."""

from copy import deepcopy

import torch
from torch import nn


class EMA:
    """Exponential moving average of a network's weights and buffers.

    After n steps the past weighs min(decay, (1 + n) / (10 + n)), so that a short training is not held back by
    where it began.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module, self.decay = deepcopy(network), decay

    @torch.no_grad()
    def update(self, network: nn.Module, steps: int) -> None:
        """Take in the weights after one more step; `steps` were taken in before."""
        past = min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0
        pairs = list(zip(self.module.state_dict().values(), network.state_dict().values(), strict=True))
        old, new = zip(*((old, new) for old, new in pairs if old.is_floating_point()), strict=True)
        torch._foreach_lerp_(old, new, 1 - past)
        for count, current in pairs:  # the number of batches that batch normalisation has seen
            if not count.is_floating_point():
                count.copy_(current)
