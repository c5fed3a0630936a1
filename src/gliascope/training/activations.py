"""What the frozen part makes of each augmented view, computed once and kept on disk as fp16."""

import hashlib
import mmap
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliascope.data.store import Store, cache_folder
from gliascope.files import atomic_file, new_file, write_rows
from gliascope.inference.engine import open_session
from gliascope.models.classifier import Normalise
from gliascope.models.weights import fingerprint
from gliascope.progress import progress
from gliascope.recipes import Recipe
from gliascope.training.augment import augment, draws
from gliascope.training.export import to_onnx

BATCH = 64
EXPORTED = 2000  # views of slices, from which exporting the frozen part (ten seconds) pays
MIRRORED = -1  # the plain view, left and right exchanged
FLUSH = 16  # batches; an interruption loses no more


class Activations:
    """Views of the store's slices after the frozen part of a stage: view 0 is plain, the rest augmented.

    A sparse file a view, keyed by everything it depends on, and beside it a byte a row that says whether it
    is there: so a repeated run, and every fold or protocol, finds what is done.
    """

    def __init__(
        self, store: Store, prefix: nn.Module, frozen: str, recipe: Recipe, device: torch.device
    ) -> None:
        self.store = store
        self.prefix = prefix.eval()
        self.recipe = recipe
        self.device = device
        self.normalise = Normalise(recipe.preprocessing).to(device)
        content = hashlib.blake2b(digest_size=10)
        # Parts without parameters change no fingerprint, so the place of the cut counts, too.
        made_by = (torch.__version__, onnxruntime.__version__, device.type)
        depends = (store.key, recipe.backbone, frozen, fingerprint(prefix), str(recipe.seed), *made_by)
        for part in (*depends, recipe.augmentation.model_dump_json()):
            content.update(part.encode() + b"\n")
        self.folder = cache_folder() / "activations" / content.hexdigest()

    def view(self, view: int, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """One view of the store, (store rows, channels, height, width), memory-mapped; only `rows` are sure.

        What other parts, folds or protocols have computed is found; what is missing is computed.
        """
        few = len(self.store.hashes) * self.recipe.views < EXPORTED
        run = self.prefix if few or self.device.type != "cpu" else self._exported
        path = self.folder / ("mirrored.npy" if view == MIRRORED else f"view-{view}.npy")
        done = self._done(path)
        missing = np.setdiff1d(rows, np.flatnonzero(done))
        with progress(f"frozen part, {path.stem.replace('-', ' ')}", len(rows)) as advance:
            advance(len(rows) - len(missing))
            for start in range(0, len(missing), BATCH * FLUSH):
                self._compute(run, view, missing[start : start + BATCH * FLUSH], path, advance)
                done[missing[start : start + BATCH * FLUSH]] = True
                with atomic_file(path.with_suffix(".done")) as temporary:
                    temporary.write_bytes(done.tobytes())
        array: NDArray[np.float16] = np.load(path, mmap_mode="r")
        return array

    def _done(self, path: Path) -> NDArray[np.bool_]:
        """Which store rows the file holds."""
        try:
            if not path.exists():
                raise FileNotFoundError
            return np.frombuffer(bytearray(path.with_suffix(".done").read_bytes()), dtype=np.bool_)
        except FileNotFoundError:
            return np.zeros(len(self.store.hashes), dtype=np.bool_)

    @cached_property
    def _exported(self) -> Callable[[Tensor], Tensor]:
        """The frozen part on ONNX Runtime, which fuses its layers: half the time of torch on a CPU."""
        model = to_onnx(self.prefix, self._images(0, np.arange(2)), "images", ["activations"])
        session = open_session(model)
        return lambda images: torch.from_numpy(session.run(None, {"images": images.contiguous().numpy()})[0])

    @torch.inference_mode()
    def _compute(
        self,
        run: Callable[[Tensor], Tensor],
        view: int,
        rows: NDArray[np.int64],
        path: Path,
        advance: Callable[[int], None],
    ) -> None:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            activations = run(self._images(view, batch)).half().cpu().numpy()
            if not path.exists():
                with new_file(path) as temporary:
                    shape = (len(self.store.hashes), *activations.shape[1:])
                    np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            write_rows(path, batch, activations)
            advance(len(batch))

    def _images(self, view: int, rows: NDArray[np.int64]) -> Tensor:
        pixels = torch.from_numpy(self.store.pixels[rows]).to(self.device)
        images = self.normalise.to_unit(pixels)
        if view > 0:
            uniform = draws(self.store.hashes[rows], view, self.recipe.seed)
            images = augment(images, self.recipe.augmentation, torch.from_numpy(uniform).to(self.device))
        elif view == MIRRORED:
            images = images.flip(-1)
        return self.normalise.normalise(images).contiguous(memory_format=torch.channels_last)


def release(view: NDArray[np.float16]) -> None:
    """Give back the memory of what was read of a memory-mapped view; it stays in the system's page cache."""
    if isinstance(view.base, mmap.mmap):
        view.base.madvise(mmap.MADV_DONTNEED)


def gather(views: Sequence[NDArray[np.float16]], view: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
    """Copy row `rows[i]` of view `view[i]` for each i into one float32 channels-last tensor."""
    batch = np.stack([views[v][row] for v, row in zip(view, rows, strict=True)])
    return torch.from_numpy(batch).float().contiguous(memory_format=torch.channels_last)
