"""Which slices the steps of a stage take, how processes share them, and what is shown of them."""

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

SCORING_BATCH = 128  # slices at a time
_MIXUP = 0x317  # a stream of its own: the order of epochs is drawn by seed, stage and a small number as well


class Batches:
    """Batches of stage `number` of a recipe. All is drawn by seed, stage and epoch or step.

    Raises RecipeError where a batch, or a part that is scored, has too few slices for so many processes.
    """

    def __init__(self, fabric: "Fabric", data: TrainingData, stage_number: int) -> None:
        self.fabric, self.data, self.stage_number = fabric, data, stage_number
        self.recipe, self.train = data.recipe, data.train
        size = self.recipe.stages[stage_number].batch_size
        self.steps = max(1, round(len(self.train.rows) / size))
        fewest = min(map(len, self.order(0)))
        needed = 2 if self.recipe.head.batch_norm else 1  # it takes a mean over slices
        if fewest < needed * fabric.world_size * self.recipe.stages[stage_number].accumulate:
            raise RecipeError(
                f"stage {stage_number + 1} has batches of {size}, too few for {fabric.world_size} "
                "processes and what each accumulates; take fewer of these, or larger batches"
                + (", or --set head.batch_norm=false, which needs two slices" if needed > 1 else "")
            )
        for part in (data.val, data.test) if self.recipe.watch_test else (data.val,):
            if len(part.rows) < fabric.world_size:
                raise RecipeError(
                    f"{len(part.rows)} slices to validate or watch are too few for {fabric.world_size} "
                    "processes; take fewer of these"
                )

    def order(self, epoch: int) -> list[Rows]:
        """Places in the training part, batch by batch."""
        generator = np.random.default_rng([self.recipe.seed, self.stage_number, epoch])
        # Even batches: a last one of a few slices would upset the batch statistics.
        return np.array_split(generator.permutation(len(self.train.rows)), self.steps)

    def paths(self, epoch: int, step: int) -> list[str]:
        """Files of a batch."""
        return [self.train.paths[place] for place in self.order(epoch)[step]]

    def own_shares(self, epoch: int) -> Iterator[tuple[int, Rows]]:
        """Size of each batch, and the places that this process has in it."""
        for places in self.order(epoch):
            yield len(places), own_share(self.fabric, places)

    def scoring_batches(self, part: Subset) -> list[Rows]:
        """The places in a part that this process scores, by SCORED or more, but less than twice that."""
        places = own_share(self.fabric, np.arange(len(part.rows)))
        return np.array_split(places, max(1, len(places) // SCORING_BATCH))

    def views(self, epoch: int) -> NDArray[np.int64]:
        """Number of the view that each training slice shows in this epoch."""
        rows, views = self.train.rows, self.recipe.views
        if views is None:
            before = sum(stage.epochs for stage in self.recipe.stages[: self.stage_number])
            return np.full(len(rows), 1 + before + epoch)
        # Which view a slice shows first follows from its content, so that a batch mixes views.
        first = np.array([int(name[:8], 16) for name in self.data.store.hashes[rows]], dtype=np.int64)
        return (first + epoch) % views

    def mixup_partners(self, step: int, slices: int) -> HostArrays:
        """For mixup: the share of each slice, and which one gives it the rest."""
        strength, seed = self.recipe.mixup, self.recipe.seed
        if not strength:
            return ()
        generator = np.random.default_rng([_MIXUP, seed, self.stage_number, step])
        drawn = generator.beta(strength, strength)
        # The first of the two is the one that is counted as right.
        return np.array(max(drawn, 1 - drawn), dtype=np.float32), generator.permutation(slices)
