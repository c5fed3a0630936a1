"""What a stage's trainable part is fed: views of slices, through the frozen part, made or found."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliascope.export.tta import apply_tta_view
from gliascope.models.classifier import Normalise
from gliascope.recipes import Recipe, TestView
from gliascope.store.store import Store
from gliascope.training.augment import augment, random_numbers
from gliascope.training.frozen_backbone import FrozenBackbone

Rows = NDArray[np.int64]
HostArrays = tuple[NDArray[np.generic], ...]
DeviceTensors = tuple[Tensor, ...]
Item = TypeVar("Item")


def deployed_views(recipe: Recipe, with_tta: bool = True) -> list[int]:
    """Numbers of the recipe's test-time views; without `all_of_them`, of the plain one alone."""
    if not with_tta:
        return [0]
    return [0 if view == TestView() else -1 - number for number, view in enumerate(recipe.tta.views)]


def view_kind(views: Rows) -> int:
    """What kind of views a batch shows: one test-time view, by its number, or 1: training views."""
    first = int(views[0])
    return 1 if first > 0 or (views != first).any() else first


class Inputs(Protocol):
    """Batches in two steps, so that reading may run ahead of computing."""

    device: torch.device

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """Read view `views[i]` of store row `rows[i]` from disk or memory; no arithmetic."""

    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """Network input from what was loaded, on the device; `kind` as `shown` tells it."""

    def release(self) -> None:
        """Give back memory that can be had again."""


def load_batch(inputs: Inputs, views: Rows, rows: Rows) -> Tensor:
    """Both steps at once."""
    return inputs.compute(view_kind(views), to_device(inputs.load(views, rows), inputs.device))


class OnTheFlyInputs:
    """Network input made on the spot: numbered views of slices, then the frozen part, if any.

    View 0 is plain, 1 and on are augmented, -1 and down are the recipe's test-time views, in order; a batch
    holds either training views or one test-time view. resident: the store's pixels on the device, or None.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        frozen_backbone: FrozenBackbone | None,
        device: torch.device,
        device_pixels: Tensor | None = None,
    ) -> None:
        self.store, self.recipe, self.frozen_backbone, self.device = store, recipe, frozen_backbone, device
        self.device_pixels = device_pixels
        self.normalise = Normalise(recipe.preprocessing).to(device)

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """Stored pixels, or where they are; the numbers augmentation is drawn by; which ones are plain."""
        pixels = rows if self.device_pixels is not None else self.store.pixels[rows]
        return pixels, random_numbers(self.store.hashes[rows], views, self.recipe.seed), views == 0

    @torch.no_grad()
    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """(n, 3, size, size), or the frozen part's activations of it."""
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
            if self.recipe.views:  # numbered from 0
                images = images.where(~plain[:, None, None, None], self.normalise.centre_crop(whole))
        images = self.normalise.normalise(images).contiguous(memory_format=torch.channels_last)
        return images if self.frozen_backbone is None else self.frozen_backbone(images)

    def release(self) -> None:
        """Nothing is held."""


def pixels_on_device(store: Store, device: torch.device) -> Tensor | None:
    """The store's pixels in a GPU's memory; None where they would take more than a quarter, and on a CPU."""
    if device.type != "cuda" or store.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return None
    return torch.from_numpy(np.array(store.pixels)).to(device)


def to_device(arrays: HostArrays, device: torch.device) -> DeviceTensors:
    """Copy to the device, without waiting for it where it is a GPU."""
    tensors = [torch.from_numpy(array) for array in arrays]
    if device.type == "cuda":
        tensors = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return tuple(tensors)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
