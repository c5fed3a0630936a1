"""Which epoch is chosen, and when a stage is over."""

import pytest

from gliascope.recipes import load_recipe
from gliascope.recipes.run import EpochMetrics
from gliascope.training.history import chosen_epoch, is_stage_over


def _epochs(*validation: tuple[float, float]) -> list[EpochMetrics]:
    return [
        EpochMetrics(
            stage=0,
            epoch=number,
            lr=1e-3,
            train_loss=0.5,
            train_accuracy=0.8,
            val_loss=loss,
            val_accuracy=accuracy,
            seconds=1.0,
        )
        for number, (accuracy, loss) in enumerate(validation)
    ]


@pytest.mark.parametrize(
    ("keep", "row"), [("best", 2), ("last", 4)], ids=["the lower loss of equals, then the first", "the last"]
)
def test_the_chosen_epoch(keep, row):
    history = _epochs((0.7, 0.4), (0.9, 0.5), (0.9, 0.3), (0.9, 0.3), (0.8, 0.1))
    assert chosen_epoch(history, keep) == row


def test_a_stage_ends_after_its_epochs_or_its_patience():
    stage = load_recipe("quick").stages[0].model_copy(update={"epochs": 5, "patience": 2})
    waiting = _epochs((0.7, 0.4), (0.9, 0.5), (0.8, 0.3))
    assert not is_stage_over(stage, [])
    assert not is_stage_over(stage, waiting)
    assert is_stage_over(stage, [*waiting, *_epochs((0.9, 0.1))])  # as good is not better
    assert is_stage_over(stage.model_copy(update={"patience": None, "epochs": 3}), waiting)
