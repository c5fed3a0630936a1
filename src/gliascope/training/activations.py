"""What the frozen part makes of each augmented view, computed once and kept on disk as fp16."""

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

BATCH = 64  # an interruption loses no more


class Activations:
    """Views of the store's slices after the frozen part of a stage, by the numbers `inputs.Fresh` gives them.

    A sparse RowFile a view, keyed by everything it depends on: so a repeated run, and every fold or protocol,
    finds what is done.
    """

    def __init__(self, inputs: OnTheFlyInputs, frozen: str, fabric: "Fabric") -> None:
        self.inputs, self.fabric, self.device = inputs, fabric, inputs.device
        self.recipe, self.store = inputs.recipe, inputs.store
        assert inputs.frozen_backbone is not None  # noqa: S101 (there is nothing to keep without)
        content = hashlib.blake2b(digest_size=10)
        # Parts without parameters change no fingerprint, so the place of the cut counts, too.
        network = (
            self.recipe.backbone,
            frozen,
            weights_hash(inputs.frozen_backbone.network),
            str(self.recipe.seed),
        )
        # The augmentation before it is torch's in any case.
        made_by = (engine_name(self.device), inputs.frozen_backbone.engine_name)
        pixels = (self.store.key, self.recipe.preprocessing.model_dump_json())
        for part in (*pixels, *network, *made_by, self.recipe.augmentation.model_dump_json()):
            content.update(part.encode() + b"\n")
        self.folder = cache_folder() / "activations" / content.hexdigest()

    def view(self, view: int, rows: Rows) -> NDArray[np.float16]:
        """One view of the store, (store rows, channels, height, width), memory-mapped; only `rows` are sure.

        What other parts, folds or protocols have computed is found; what is missing is computed.
        """
        file = ResumableArray(self.folder / f"{self._name(view)}.npy", len(self.store.hashes))
        missing = _missing(file, rows)
        with progress(f"frozen part, {file.path.stem.replace('-', ' ')}", len(rows)) as advance:
            advance(len(rows) - len(missing))
            self.fabric.barrier()
            self._compute(view, own_share(self.fabric, missing), file, advance)
            self.fabric.barrier()
            # A host whose cache is its own lacks what others have computed, and what is done may have changed
            # while processes looked.
            self._compute(view, _missing(file, rows), file, advance)
        array: NDArray[np.float16] = file.open()
        return array

    def _name(self, view: int) -> str:
        """A test-time view is named by what it is: recipes that share a backbone then share its file."""
        if view >= 0:
            return f"view-{view}"
        shown = self.recipe.tta.views[-1 - view].model_dump_json().encode()
        return f"test-{hashlib.blake2b(shown, digest_size=4).hexdigest()}"

    @torch.inference_mode()
    def _compute(self, view: int, rows: Rows, file: ResumableArray, advance: Callable[[int], None]) -> None:
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        # Others may be at the same view: each has its own order, and leaves out what is there meanwhile.
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
    """The same, from activations computed once; view by view, for the rows given."""

    def __init__(self, activations: Activations, views: Sequence[int], rows: Rows) -> None:
        self.device = activations.device
        self.files = {view: activations.view(view, rows) for view in views}

    def load(self, views: Rows, rows: Rows) -> HostArrays:
        """float16 (n, channels, height, width)."""
        return (np.stack([self.files[view][row] for view, row in zip(views.tolist(), rows, strict=True)]),)

    def compute(self, kind: int, loaded: DeviceTensors) -> Tensor:
        """The same as float32, channels last."""
        activations = loaded[0].float()
        if activations.ndim < 4:  # pooled
            return activations
        return activations.contiguous(memory_format=torch.channels_last)

    def release(self) -> None:
        """What was read stays in the system's page cache."""
        for file in self.files.values():
            if isinstance(file.base, mmap.mmap):
                file.base.madvise(mmap.MADV_DONTNEED)
