"""The sanity check of Adebayo et al. (Sanity Checks for Saliency Maps, 2018): new weights, another map?

A map that hardly changes when the weights are replaced does not show what was learned.
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
"""Equal parts of the backbone's layers that are randomised one after the other, the last ones first."""


def randomisation_cascade(classifier: Classifier, seed: int = 0) -> Iterator[tuple[str, Classifier]]:
    """Copies of a classifier whose weights are random from the output down to ever earlier layers.

    Yields a name and the copy: the head alone, then with it each of PARTS more of the backbone ("head + 25%"
    of its layers), until all weights are random. The copy is the same object, changed further at each step.

    Random is each tensor's own values in another order, and channels of a batch norm together: new weights
    of the old distribution, so that activations keep their scale and no network falls silent.
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
    """Put the values of each weight in another order, in place."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            order = torch.randperm(layer.num_features, generator=random)
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                if isinstance(values, Tensor):
                    values.copy_(values[order].clone())
            continue
        for values in layer.parameters(recurse=False):
            order = torch.randperm(values.numel(), generator=random)
            # Not in place through a view: channels_last weights have none that is flat.
            values.copy_(values.detach().reshape(-1)[order].reshape(values.shape))


def rank_correlations(maps: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spearman's correlation of each map, (n, height, width), with its counterpart, (n,).

    0 where either is the same everywhere: then nothing is left of the other.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(one.reshape(len(one), -1), axis=1) for one in (maps, others)]
    first, second = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return np.asarray(np.divide(product, scale, out=np.zeros(len(maps)), where=scale > 0))
