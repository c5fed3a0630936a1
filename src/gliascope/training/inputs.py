"""What a stage's trainable part is fed: views of slices, through the frozen part, made or found."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliascope.data.store import Store
from gliascope.models.classifier import Normalise
from gliascope.recipes import Recipe, TestView
from gliascope.training.augment import augment, draws, view

Rows = NDArray[np.int64]
Host = tuple[NDArray[np.generic], ...]
Item = TypeVar("Item")


def deployed_views(recipe: Recipe, all_of_them: bool = True) -> list[int]:
    """Numbers of the recipe's test-time views; without `all_of_them`, of the plain one alone."""
    if not all_of_them:
        return [0]
    return [0 if view == TestView() else -1 - number for number, view in enumerate(recipe.tta.views)]


class Inputs(Protocol):
    """Batches in two steps, so that reading may run ahead of computing."""

    def load(self, views: Rows, rows: Rows) -> Host:
        """Read view `views[i]` of store row `rows[i]` from disk or memory; no arithmetic."""

    def batch(self, views: Rows, loaded: Host) -> Tensor:
        """Network input, on the device."""

    def release(self) -> None:
        """Give back memory that can be had again."""


class Fresh:
    """Network input made on the spot: numbered views of slices, then the frozen part, if any.

    View 0 is plain, 1 and on are augmented, -1 and down are the recipe's test-time views, in order; a batch
    holds either training views or one test-time view.
    """

    def __init__(self, store: Store, recipe: Recipe, prefix: nn.Module | None, device: torch.device) -> None:
        self.store, self.recipe, self.prefix, self.device = store, recipe, prefix, device
        self.normalise = Normalise(recipe.preprocessing).to(device)

    def load(self, views: Rows, rows: Rows) -> Host:
        """Stored pixels, and the numbers augmentation is drawn by."""
        return self.store.pixels[rows], draws(self.store.hashes[rows], views, self.recipe.seed)

    @torch.no_grad()
    def batch(self, views: Rows, loaded: Host) -> Tensor:
        """(n, 3, size, size), or the frozen part's activations of it."""
        pixels, uniform = (to_device(array, self.device) for array in loaded)
        whole = self.normalise.to_unit(pixels)
        if views[0] < 0:
            images = self.normalise.centre(view(whole, self.recipe.tta.views[-1 - views[0]]))
        elif (views == 0).all():
            images = self.normalise.centre(whole)
        else:
            size = self.recipe.preprocessing.input_size
            images = augment(whole, self.recipe.augmentation, uniform, size)
            plain = torch.from_numpy(views == 0)
            images[plain] = self.normalise.centre(whole[plain])
        images = self.normalise.normalise(images).contiguous(memory_format=torch.channels_last)
        return images if self.prefix is None else self.prefix(images)

    def release(self) -> None:
        """Nothing is held."""


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy to the device, without waiting for it where it is a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
