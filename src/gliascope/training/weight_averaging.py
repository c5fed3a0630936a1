"""Average the weights of a network over the steps of training."""

from copy import deepcopy

import torch
from torch import nn


class EMA:
    """Exponential moving average of a network's weights and buffers.

    After n steps, the old average has the weight min(decay, (1 + n) / (10 + n)) and the new values the rest,
    so that in a short training the initial weights do not dominate.

    Parameters
    ----------
    network
        Whose weights are averaged; `module` is a copy of it that holds the averages.
    decay
        Greatest weight of the old average, below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module, self.decay = deepcopy(network), decay

    @torch.no_grad()
    def update(self, network: nn.Module, steps: int) -> None:
        """Add the network's current weights to the average, to which `steps` others were added before."""
        past = min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0
        pairs = list(zip(self.module.state_dict().values(), network.state_dict().values(), strict=True))
        old, new = zip(*((old, new) for old, new in pairs if old.is_floating_point()), strict=True)
        torch._foreach_lerp_(old, new, 1 - past)
        for count, current in pairs:  # batch normalisation's count of batches
            if not count.is_floating_point():
                count.copy_(current)
