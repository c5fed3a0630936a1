"""Optimisers by name. A new one is one row of OPTIMIZERS."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gliascope.errors import RecipeError
from gliascope.recipes import Stage

Groups = list[dict[str, Any]]

OPTIMIZERS: dict[str, Callable[[Groups, Stage], torch.optim.Optimizer]] = {
    # Kingma & Ba, 2015; its weight decay is an L2 penalty.
    "adam": lambda groups, stage: torch.optim.Adam(groups, lr=stage.lr, fused=True),
    # Loshchilov & Hutter, 2019
    "adamw": lambda groups, stage: torch.optim.AdamW(groups, lr=stage.lr, fused=True),
    "sgd": lambda groups, stage: torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum),
}


def create_optimizer(network: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """The optimiser a stage names, over what is not frozen; biases and normalisation do not decay.

    Raises RecipeError listing the choices.
    """
    if stage.optimizer not in OPTIMIZERS:
        raise RecipeError(f"unknown optimizer {stage.optimizer!r}; choose from {', '.join(OPTIMIZERS)}")
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: Groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[stage.optimizer](groups, stage)
