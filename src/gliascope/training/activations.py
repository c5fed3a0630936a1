"""What the frozen part makes of each augmented view, computed once and kept on disk as fp16."""

import hashlib
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliascope.data.store import Store, cache_folder
from gliascope.files import atomic_file, mapped_array
from gliascope.models.classifier import Normalise
from gliascope.models.weights import fingerprint
from gliascope.progress import progress
from gliascope.recipes import Recipe
from gliascope.training.augment import augment, draws

BATCH = 64


class Activations:
    """Views of a list of slices after the frozen part of a stage: view 0 is plain, the rest augmented.

    Files are keyed by everything they depend on, so an interrupted or repeated run finds what is done.
    """

    def __init__(
        self, store: Store, prefix: nn.Module, frozen: str, recipe: Recipe, device: torch.device
    ) -> None:
        self.store = store
        self.prefix = prefix
        self.recipe = recipe
        self.device = device
        self.normalise = Normalise(recipe.preprocessing).to(device)
        content = hashlib.blake2b(digest_size=10)
        # Parts without parameters change no fingerprint, so the place of the cut counts, too.
        depends = (store.key, recipe.backbone, frozen, fingerprint(prefix), str(recipe.seed))
        for part in (*depends, recipe.augmentation.model_dump_json()):
            content.update(part.encode() + b"\n")
        self.folder = cache_folder() / "activations" / content.hexdigest()

    def view(self, view: int, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Activations of one view of the given store rows, (rows, channels, height, width), memory-mapped."""
        names = hashlib.blake2b(self.store.hashes[rows].tobytes(), digest_size=10).hexdigest()
        path = self.folder / f"view-{view}-{names}.npy"
        if not path.exists():
            with atomic_file(path) as temporary:
                self._compute(view, rows, temporary)
        array: NDArray[np.float16] = np.load(path, mmap_mode="r")
        return array

    @torch.inference_mode()
    def _compute(self, view: int, rows: NDArray[np.int64], path: Path) -> None:
        self.prefix.eval()
        output: NDArray[np.float16] | None = None
        with progress(f"frozen part, view {view + 1} of {self.recipe.views}", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                activations = self.prefix(self._images(view, batch)).half().cpu().numpy()
                if output is None:
                    output = mapped_array(path, np.float16, (len(rows), *activations.shape[1:]))
                output[start : start + len(batch)] = activations
                advance(len(batch))
        output.flush()  # type: ignore[union-attr]

    def _images(self, view: int, rows: NDArray[np.int64]) -> Tensor:
        pixels = torch.from_numpy(self.store.pixels[rows]).to(self.device)
        images = self.normalise.to_unit(pixels)
        if view > 0:
            uniform = draws(self.store.hashes[rows], view, self.recipe.seed)
            images = augment(images, self.recipe.augmentation, torch.from_numpy(uniform).to(self.device))
        return self.normalise.normalise(images).contiguous(memory_format=torch.channels_last)


def release(view: NDArray[np.float16]) -> None:
    """Give back the memory of what was read of a memory-mapped view; it stays in the system's page cache."""
    if isinstance(view.base, mmap.mmap):
        view.base.madvise(mmap.MADV_DONTNEED)


def gather(views: Sequence[NDArray[np.float16]], view: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
    """Copy row `rows[i]` of view `view[i]` for each i into one float32 channels-last tensor."""
    batch = np.stack([views[v][row] for v, row in zip(view, rows, strict=True)])
    return torch.from_numpy(batch).float().contiguous(memory_format=torch.channels_last)
