"""Features of slices from a pretrained network as it is: the input of the audit's label check."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.models.classifier import Normalise
from gliascope.models.weights import pretrained_backbone, weights_hash
from gliascope.recipes import Recipe
from gliascope.runtime.progress import progress
from gliascope.runtime.resumable_array import ResumableArray
from gliascope.store.store import Store, cache_folder
from gliascope.training.environment import autocast, engine_name

BATCH = 64  # slices at a time on a CPU


def backbone_features(
    store: Store, rows: NDArray[np.int64], recipe: Recipe, device: torch.device
) -> NDArray[np.float32]:
    """Compute features of slices: each channel's mean and maximum over the pretrained backbone's feature map.

    Features are cached on disk, under a digest of everything they depend on.

    Parameters
    ----------
    store
        The preprocessed slices.
    rows
        int64 (n,): row numbers of the store.
    recipe
        Names the backbone and its weights.
    device
        Where the backbone runs.

    Returns
    -------
    float32 (n, 2 × channels)
        Memory-mapped: the means, then the maxima.

    Raises
    ------
    WeightsError
        Where the pretrained weights cannot be found.
    RecipeError
        For a backbone whose output is no feature map, as that of a vision transformer.
    """
    backbone = pretrained_backbone(recipe.backbone, recipe.weights).eval()
    content = hashlib.blake2b(digest_size=10)
    pixels = (store.key, store.preprocessing.model_dump_json())
    for text in (*pixels, recipe.backbone, weights_hash(backbone), engine_name(device)):
        content.update(text.encode() + b"\n")
    content.update(store.hashes[rows].tobytes())
    file = ResumableArray(cache_folder() / "features" / f"{content.hexdigest()}.npy", len(rows))
    if not file.written_rows().all():
        _compute(store, rows, backbone, device=device, file=file)
    array: NDArray[np.float32] = file.open()
    return array


@torch.inference_mode()
def _compute(
    store: Store, rows: NDArray[np.int64], backbone: nn.Module, *, device: torch.device, file: ResumableArray
) -> None:
    backbone = backbone.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    normalise = Normalise(store.preprocessing).to(device)
    missing = np.flatnonzero(~file.written_rows())
    with progress("features", len(rows)) as advance:
        advance(len(rows) - len(missing))
        size = BATCH if device.type == "cpu" else 4 * BATCH
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            images = normalise(torch.from_numpy(store.pixels[rows[batch]]).to(device))
            with autocast(device):
                maps = backbone(images.contiguous(memory_format=torch.channels_last))
            pooled = _pool(maps.float())
            file.write(batch, pooled.cpu().numpy())
            advance(len(batch))


def _pool(maps: Tensor) -> Tensor:
    if maps.ndim != 4:
        raise RecipeError(
            f"expected a backbone with a feature map (n, channels, height, width) but got {maps.ndim}-D; "
            "choose another backbone"
        )
    return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
