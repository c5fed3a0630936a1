"""What a frozen network sees in each slice: the input of the audit's label check."""

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

BATCH = 64


def backbone_features(
    store: Store, rows: NDArray[np.int64], recipe: Recipe, device: torch.device
) -> NDArray[np.float32]:
    """Mean and maximum over the place of each channel of the recipe's pretrained backbone, untrained further.

    Float32 (rows, 2 × channels), memory-mapped: of the given store rows, under the store's preprocessing.
    Computed once and kept in the cache under everything it depends on. Raises WeightsError where no weights
    can be had, RecipeError for a backbone that ends in tokens.
    """
    backbone = pretrained_backbone(recipe.backbone, recipe.weights).eval()
    content = hashlib.blake2b(digest_size=10)
    pixels = (store.key, store.preprocessing.model_dump_json())
    for part in (*pixels, recipe.backbone, weights_hash(backbone), engine_name(device)):
        content.update(part.encode() + b"\n")
    content.update(store.hashes[rows].tobytes())
    file = ResumableArray(cache_folder() / "features" / f"{content.hexdigest()}.npy", len(rows))
    if not file.written_rows().all():
        _compute(store, rows, backbone, device, file)
    array: NDArray[np.float32] = file.open()
    return array


@torch.inference_mode()
def _compute(
    store: Store, rows: NDArray[np.int64], backbone: nn.Module, device: torch.device, file: ResumableArray
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
