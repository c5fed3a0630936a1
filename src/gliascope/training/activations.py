"""Outputs of a network's frozen layers for each view of each slice, computed once and kept on disk."""

import hashlib
import mmap
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliascope.models.weights import weights_hash
from gliascope.runtime.progress import progress
from gliascope.runtime.resumable_array import ResumableArray
from gliascope.store.store import cache_folder
from gliascope.training.distributed import own_share
from gliascope.training.environment import engine_name
from gliascope.training.inputs import DeviceTensors, HostArrays, OnTheFlyInputs, Rows, load_batch

if TYPE_CHECKING:
    from lightning.fabric import Fabric

BATCH = 64  # slices that are computed, then written at once: an interruption loses no more than these


class Activations:
    """The outputs of a stage's frozen layers for the store's slices, one file on disk a view.

    Each file is a `ResumableArray` in the cache folder, whose name is a digest of everything that the outputs
    depend on. A repeated run, and every fold or protocol of the same recipe, therefore finds them there.

    Parameters
    ----------
    inputs
        Makes the views and runs the frozen layers on them; views have its numbers.
    cut
        Name of the last frozen layer.
    fabric
        Lightning Fabric, whose processes share the work.
    """

    def __init__(self, inputs: OnTheFlyInputs, cut: str, fabric: "Fabric") -> None:
        self.inputs, self.fabric, self.device = inputs, fabric, inputs.device
        self.recipe, self.store = inputs.recipe, inputs.store
        assert inputs.frozen_backbone is not None  # noqa: S101 (without frozen layers there is nothing to cache)
        content = hashlib.blake2b(digest_size=10)
        # A layer without parameters does not change the weights' hash, so the name of the cut counts, too.
        network = (
            self.recipe.backbone,
            cut,
            weights_hash(inputs.frozen_backbone.network),
            str(self.recipe.seed),
        )
        # Torch augments even where ONNX Runtime runs the frozen layers, so both engines count.
        engines = (engine_name(self.device), inputs.frozen_backbone.engine_name)
        pixels = (self.store.key, self.recipe.preprocessing.model_dump_json())
        for text in (*pixels, *network, *engines, self.recipe.augmentation.model_dump_json()):
            content.update(text.encode() + b"\n")
        self.folder = cache_folder() / "activations" / content.hexdigest()

    def view(self, view: int, rows: Rows) -> NDArray[np.float16]:
        """Open one view of the store, after computing those of the given rows that the file lacks.

        Parameters
        ----------
        view
            Number of the view, as `OnTheFlyInputs` numbers them.
        rows
            int64 (n,): row numbers of the store.

        Returns
        -------
        float16 (store rows, channels, height, width)
            Memory-mapped. Rows other than the given ones may be unwritten.
        """
        file = ResumableArray(self.folder / f"{self._name(view)}.npy", len(self.store.hashes))
        missing = _missing(file, rows)
        with progress(f"frozen part, {file.path.stem.replace('-', ' ')}", len(rows)) as advance:
            advance(len(rows) - len(missing))
            self.fabric.barrier()
            self._compute(view, own_share(self.fabric, missing), file, advance)
            self.fabric.barrier()
            # A machine with a cache of its own lacks what other machines computed; and the first look at what
            # is missing may have differed between processes.
            self._compute(view, _missing(file, rows), file, advance)
        array: NDArray[np.float16] = file.open()
        return array

    def _name(self, view: int) -> str:
        """Name a view's file: a test-time view by its content, so that recipes can share the file."""
        if view >= 0:
            return f"view-{view}"
        content = self.recipe.tta.views[-1 - view].model_dump_json().encode()
        return f"test-{hashlib.blake2b(content, digest_size=4).hexdigest()}"

    @torch.inference_mode()
    def _compute(self, view: int, rows: Rows, file: ResumableArray, advance: Callable[[int], None]) -> None:
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        # Other runs may compute the same view: in an order of its own, each skips what the others have
        # written.
        for number in np.random.default_rng(os.getpid()).permutation(len(batches)):
            batch_rows = batches[number]
            some = batch_rows[~file.written_rows()[batch_rows]]
            if len(some):
                file.write(some, self._batch(view, some).half().cpu().numpy())
            advance(len(batch_rows))

    def _batch(self, view: int, rows: Rows) -> Tensor:
        return load_batch(self.inputs, np.full(len(rows), view), rows)


def _missing(file: ResumableArray, rows: Rows) -> Rows:
    return np.setdiff1d(rows, np.flatnonzero(file.written_rows()))


class CachedActivations:
    """`Inputs` that reads activations from disk instead of computing them.

    Parameters
    ----------
    activations
        Where the activations are kept.
    views
        Numbers of the views that will be asked for.
    rows
        int64 (n,): the row numbers of the store that will be asked for.
    """

    def __init__(self, activations: Activations, views: Sequence[int], rows: Rows) -> None:
        self.device = activations.device
        self.files = {view: activations.view(view, rows) for view in views}

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """Read the activations of view `views[i]` of row `rows[i]`, float16 (n, channels, height, width)."""
        return (np.stack([self.files[view][row] for view, row in zip(views.tolist(), rows, strict=True)]),)

    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """Convert the activations to float32, channels last in memory."""
        activations = loaded[0].float()
        if activations.ndim < 4:  # the frozen layers end with a pooling
            return activations
        return activations.contiguous(memory_format=torch.channels_last)

    def release(self) -> None:
        """Unmap what was read; it stays in the operating system's page cache."""
        for file in self.files.values():
            if isinstance(file.base, mmap.mmap):
                file.base.madvise(mmap.MADV_DONTNEED)
