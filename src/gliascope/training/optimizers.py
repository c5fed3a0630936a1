"""Optimisers by name. A new one is one row of OPTIMIZERS."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Stage

Groups = list[dict[str, Any]]

# Fused, and their rate a tensor: so a step is the same few kernels every time, which a GPU can record.
OPTIMIZERS: dict[str, Callable[[Groups, Stage, Tensor], torch.optim.Optimizer]] = {
    # Kingma & Ba, 2015; its weight decay is an L2 penalty.
    "adam": lambda groups, _, rate: torch.optim.Adam(groups, lr=rate, fused=True, capturable=rate.is_cuda),
    # Loshchilov & Hutter, 2019
    "adamw": lambda groups, _, rate: torch.optim.AdamW(groups, lr=rate, fused=True, capturable=rate.is_cuda),
    "sgd": lambda groups, stage, rate: torch.optim.SGD(groups, lr=rate, momentum=stage.momentum, fused=True),
}


def create_optimizer(network: nn.Module, stage: Stage, rate: Tensor) -> torch.optim.Optimizer:
    """The optimiser a stage names, over what is not frozen; biases and normalisation do not decay.

    rate: 0-D, on the network's device; it holds the learning rate of the step. Raises RecipeError listing the
    choices.
    """
    if stage.optimizer not in OPTIMIZERS:
        raise RecipeError(f"unknown optimizer {stage.optimizer!r}; choose from {', '.join(OPTIMIZERS)}")
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: Groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[stage.optimizer](groups, stage, rate)
