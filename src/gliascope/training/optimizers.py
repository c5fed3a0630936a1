"""Optimisers by name. A new one is one row of OPTIMIZERS."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Stage

Groups = list[dict[str, Any]]

# With fused kernels, and the learning rate in a tensor, every step launches the same kernels: a CUDA graph
# can record them.
OPTIMIZERS: dict[str, Callable[[Groups, Stage, Tensor], torch.optim.Optimizer]] = {
    # Kingma & Ba, 2015; its weight decay is an L2 penalty.
    "adam": lambda groups, _, rate: torch.optim.Adam(groups, lr=rate, fused=True, capturable=rate.is_cuda),
    # Loshchilov & Hutter, 2019
    "adamw": lambda groups, _, rate: torch.optim.AdamW(groups, lr=rate, fused=True, capturable=rate.is_cuda),
    "sgd": lambda groups, stage, rate: torch.optim.SGD(groups, lr=rate, momentum=stage.momentum, fused=True),
}


def create_optimizer(network: nn.Module, stage: Stage, rate: Tensor) -> torch.optim.Optimizer:
    """Create the optimiser that a stage names, for all parameters that are not frozen.

    Weight decay applies to weights of two dimensions or more, not to biases and normalisation.

    Parameters
    ----------
    network
        Whose parameters are optimised.
    stage
        The recipe's.
    rate
        (), on the network's device: the learning rate, which the caller overwrites before each step.

    Raises
    ------
    RecipeError
        For an unknown optimiser; the message lists the known ones.
    """
    if stage.optimizer not in OPTIMIZERS:
        raise RecipeError(f"unknown optimizer {stage.optimizer!r}; choose from {', '.join(OPTIMIZERS)}")
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: Groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[stage.optimizer](groups, stage, rate)
