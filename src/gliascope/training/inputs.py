"""Inputs of a stage's trainable layers: views of slices, after the frozen layers where there are any."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliascope.export.tta import apply_tta_view
from gliascope.models.classifier import Normalise
from gliascope.recipes import Recipe, TtaView
from gliascope.store.store import Store
from gliascope.training.augment import augment, random_numbers
from gliascope.training.frozen_backbone import FrozenBackbone

Rows = NDArray[np.int64]
"""Row numbers of the store, (n,); also numbers of views."""
HostArrays = tuple[NDArray[np.generic], ...]
DeviceTensors = tuple[Tensor, ...]
Item = TypeVar("Item")


def deployed_views(recipe: Recipe, with_tta: bool = True) -> list[int]:
    """Numbers of the views that are averaged at prediction; without `with_tta`, of the plain view alone."""
    if not with_tta:
        return [0]
    return [0 if view == TtaView() else -1 - number for number, view in enumerate(recipe.tta.views)]


def view_kind(views: Rows) -> int:
    """Kind of a batch's views (n,): 1 for training views, else the number of the one test-time view."""
    first = int(views[0])
    return 1 if first > 0 or (views != first).any() else first


class Inputs(Protocol):
    """Makes batches in two steps, so that a thread can load the next batch while this one is computed."""

    device: torch.device

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """Read what view `views[i]` of row `rows[i]` is computed from, without computing it."""

    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """Compute the input of the trainable layers, on the device; `kind` is that of `view_kind`."""

    def release(self) -> None:
        """Release memory that can be loaded again."""


def load_batch(inputs: Inputs, views: Rows, rows: Rows) -> Tensor:
    """Load and compute one batch: view `views[i]` of row `rows[i]` for each i."""
    return inputs.compute(view_kind(views), to_device(inputs.load(views, rows), inputs.device))


class OnTheFlyInputs:
    """`Inputs` that computes each view when it is asked for, then runs the frozen layers on it.

    View 0 is the plain slice, views 1, 2, … are augmented, and views -1, -2, … are the recipe's test-time
    views in their order. A batch holds training views (0, 1, …) or one test-time view.

    Parameters
    ----------
    store
        The preprocessed slices.
    recipe
        Its augmentation and test-time views are used.
    frozen_backbone
        The frozen layers; None where all layers are trained.
    device
        Where everything is computed.
    device_pixels
        The pixels of the whole store on the device; None to copy those of each batch there.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        *,
        frozen_backbone: FrozenBackbone | None,
        device: torch.device,
        device_pixels: Tensor | None = None,
    ) -> None:
        self.store, self.recipe, self.frozen_backbone, self.device = store, recipe, frozen_backbone, device
        self.device_pixels = device_pixels
        self.normalise = Normalise(recipe.preprocessing).to(device)

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """Read pixels, or row numbers of `device_pixels`; random numbers; and which views are plain."""
        pixels = rows if self.device_pixels is not None else self.store.pixels[rows]
        return pixels, random_numbers(self.store.hashes[rows], views, self.recipe.seed), views == 0

    @torch.no_grad()
    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """Compute the views, (n, 3, size, size), or their activations after the frozen layers."""
        pixels, uniform, plain = loaded
        whole = self.normalise.scale_to_unit(
            pixels if self.device_pixels is None else self.device_pixels[pixels]
        )
        if kind < 0:
            images = self.normalise.centre_crop(apply_tta_view(whole, self.recipe.tta.views[-1 - kind]))
        elif kind == 0:
            images = self.normalise.centre_crop(whole)
        else:
            size = self.recipe.preprocessing.input_size
            images = augment(whole, self.recipe.augmentation, uniform, size)
            if self.recipe.views:  # then the plain view 0 is one of the training views
                images = images.where(~plain[:, None, None, None], self.normalise.centre_crop(whole))
        images = self.normalise.normalise(images).contiguous(memory_format=torch.channels_last)
        return images if self.frozen_backbone is None else self.frozen_backbone(images)

    def release(self) -> None:
        """Do nothing: no memory is held."""


def pixels_on_device(store: Store, device: torch.device) -> Tensor | None:
    """Copy the store's pixels to a GPU; None on a CPU, or if that takes over a quarter of its free memory."""
    if device.type != "cuda" or store.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return None
    return torch.from_numpy(np.array(store.pixels)).to(device)


def to_device(arrays: HostArrays, device: torch.device) -> DeviceTensors:
    """Copy arrays to the device, without waiting for a GPU."""
    tensors = [torch.from_numpy(array) for array in arrays]
    if device.type == "cuda":
        tensors = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return tuple(tensors)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, none of which may be None, while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
