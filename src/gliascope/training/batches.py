"""Which slices, in which views, each step of a stage trains on, and how processes share them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import RecipeError
from gliascope.training.data import Subset, TrainingData
from gliascope.training.distributed import own_share
from gliascope.training.inputs import HostArrays, Rows

if TYPE_CHECKING:
    from lightning.fabric import Fabric

SCORING_BATCH = 128  # least number of slices that validation computes at a time
# Keeps the random numbers of mixup apart from those of the order: both are seeded by seed, stage and a count.
_MIXUP = 0x317


class Batches:
    """The batches of one stage of a recipe.

    All random choices follow from the recipe's seed, the stage and the epoch or step alone, so that a
    training that is resumed makes the same ones.

    Parameters
    ----------
    fabric
        Lightning Fabric, whose processes share each batch.
    data
        The recipe and its slices.
    stage_number
        Which stage, from 0.

    Raises
    ------
    RecipeError
        Where a batch, or a subset that is scored, has too few slices for so many processes.
    """

    def __init__(self, fabric: "Fabric", data: TrainingData, stage_number: int) -> None:
        self.fabric, self.data, self.stage_number = fabric, data, stage_number
        self.recipe, self.train = data.recipe, data.train
        size = self.recipe.stages[stage_number].batch_size
        self.steps = max(1, round(len(self.train.rows) / size))
        fewest = min(map(len, self.order(0)))
        needed = 2 if self.recipe.head.batch_norm else 1  # batch normalisation takes a mean over slices
        if fewest < needed * fabric.world_size * self.recipe.stages[stage_number].accumulate:
            raise RecipeError(
                f"stage {stage_number + 1} has batches of {size}, too few for {fabric.world_size} "
                "processes and what each accumulates; take fewer of these, or larger batches"
                + (", or --set head.batch_norm=false, which needs two slices" if needed > 1 else "")
            )
        for subset in (data.val, data.test) if self.recipe.watch_test else (data.val,):
            if len(subset.rows) < fabric.world_size:
                raise RecipeError(
                    f"{len(subset.rows)} slices to validate or watch are too few for {fabric.world_size} "
                    "processes; take fewer of these"
                )

    def order(self, epoch: int) -> list[Rows]:
        """Shuffle the training subset for one epoch: positions in it, int64, one array a batch."""
        generator = np.random.default_rng([self.recipe.seed, self.stage_number, epoch])
        # Batches of even sizes: a last one of few slices would disturb the statistics of batch normalisation.
        return np.array_split(generator.permutation(len(self.train.rows)), self.steps)

    def paths(self, epoch: int, step: int) -> list[str]:
        """Name the files of one batch."""
        return [self.train.paths[position] for position in self.order(epoch)[step]]

    def own_shares(self, epoch: int) -> Iterator[tuple[int, Rows]]:
        """Yield each batch of an epoch: its size, and the positions that this process takes of it."""
        for positions in self.order(epoch):
            yield len(positions), own_share(self.fabric, positions)

    def scoring_batches(self, subset: Subset) -> list[Rows]:
        """Divide this process's positions in a subset into batches of SCORING_BATCH to twice that."""
        positions = own_share(self.fabric, np.arange(len(subset.rows)))
        return np.array_split(positions, max(1, len(positions) // SCORING_BATCH))

    def views(self, epoch: int) -> NDArray[np.int64]:
        """Number of the view that each training slice shows in one epoch, int64 (training slices,)."""
        rows, views = self.train.rows, self.recipe.views
        if views is None:
            before = sum(stage.epochs for stage in self.recipe.stages[: self.stage_number])
            return np.full(len(rows), 1 + before + epoch)
        # The first view of a slice follows from its content, so that every batch has a mixture of views.
        first = np.array([int(name[:8], 16) for name in self.data.store.hashes[rows]], dtype=np.int64)
        return (first + epoch) % views

    def mixup_partners(self, step: int, slices: int) -> HostArrays:
        """Choose what mixup combines in one step.

        Parameters
        ----------
        step
            Number of the step, from the start of the stage.
        slices
            How many slices of the batch this process has.

        Returns
        -------
        tuple of ndarray
            The share that each slice keeps, float32 (), and the position of the slice that gives it the rest,
            int64 (slices,); empty where the recipe does not use mixup.
        """
        strength, seed = self.recipe.mixup, self.recipe.seed
        if not strength:
            return ()
        generator = np.random.default_rng([_MIXUP, seed, self.stage_number, step])
        share = generator.beta(strength, strength)
        # The larger share is a slice's own, since training accuracy compares with the slice's own class.
        return np.array(max(share, 1 - share), dtype=np.float32), generator.permutation(slices)
