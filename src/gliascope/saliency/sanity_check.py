"""The sanity check of saliency maps by randomised weights (Adebayo et al. 2018).

A map that hardly changes when the weights are replaced does not show what the network learned.

References
----------
Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gliascope.models.backbones import execution_order
from gliascope.models.classifier import Classifier

CASCADE_STEPS = 4
"""Number of steps in which the backbone's layers are randomised, an equal share each, the last ones first."""


def randomisation_cascade(classifier: Classifier, seed: int = 0) -> Iterator[tuple[str, Classifier]]:
    """Yield a classifier with more and more random weights, from the output to the input.

    A tensor is randomised by permuting its values, and a batch norm by permuting its channels. This keeps the
    distribution of the weights, so that activations keep their scale.

    Parameters
    ----------
    classifier
        Copied, not changed.
    seed
        Of the permutations.

    Yields
    ------
    name, copy
        "head", then "head + 25%" of the backbone's layers and so on, then "all". The copy is the same object
        each time, changed further.
    """
    random = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(classifier).eval()
    _shuffle(changed.head, random)
    yield "head", changed
    size = classifier.input_size
    order = execution_order(changed.backbone, torch.zeros(1, 3, size, size))
    layers = [changed.backbone.get_submodule(name) for name in order]
    ends = [round(len(layers) * (CASCADE_STEPS - part) / CASCADE_STEPS) for part in range(CASCADE_STEPS + 1)]
    for part in range(CASCADE_STEPS):
        for layer in layers[ends[part + 1] : ends[part]]:
            _shuffle(layer, random)
        yield f"head + {(part + 1) / CASCADE_STEPS:.0%}" if part + 1 < CASCADE_STEPS else "all", changed


@torch.no_grad()
def _shuffle(module: nn.Module, random: torch.Generator) -> None:
    """Permute the values of each weight in place."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            order = torch.randperm(layer.num_features, generator=random)
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                if isinstance(values, Tensor):
                    values.copy_(values[order].clone())
            continue
        for values in layer.parameters(recurse=False):
            order = torch.randperm(values.numel(), generator=random)
            # Copied, because weights in channels_last order have no flat view.
            values.copy_(values.detach().reshape(-1)[order].reshape(values.shape))


def rank_correlations(maps: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Spearman's correlation of each map with its counterpart.

    Parameters
    ----------
    maps, others
        Float32 (n, height, width).

    Returns
    -------
    ndarray
        Float64 (n,). The correlation is 0 if either map is constant.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(one.reshape(len(one), -1), axis=1) for one in (maps, others)]
    first, second = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return np.asarray(np.divide(product, scale, out=np.zeros(len(maps)), where=scale > 0))
