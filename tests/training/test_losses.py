import pytest
import torch
from torch.nn import functional

from gliascope.errors import RecipeError
from gliascope.recipes import Loss
from gliascope.training.losses import LOSSES, Criterion, mixup

TARGETS = torch.tensor([0, 1, 1, 0, 1])
COUNTS = torch.tensor([100, 300])


def logits(classes: int = 2) -> torch.Tensor:
    return torch.randn(5, classes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", LOSSES)
def test_contract_every_loss_is_small_for_the_truth_and_large_for_its_opposite(kind: str) -> None:
    criterion = Criterion(Loss(kind=kind), COUNTS)
    right = functional.one_hot(TARGETS, 2) * 20.0
    assert criterion(right, TARGETS).shape == (5,)
    assert criterion(right, TARGETS).max() < 1e-4
    assert criterion(right, 1 - TARGETS).min() > 10


def test_cross_entropy_with_smoothing_is_torchs() -> None:
    mine = Criterion(Loss(label_smoothing=0.1), torch.ones(4))(logits(4), TARGETS).mean()
    assert mine.item() == pytest.approx(
        functional.cross_entropy(logits(4), TARGETS, label_smoothing=0.1).item()
    )


def test_one_neuron_of_two_classes_makes_both_losses_the_same() -> None:
    both = [Criterion(Loss(kind=kind, label_smoothing=0.1), COUNTS)(logits(), TARGETS) for kind in LOSSES][:2]
    assert torch.allclose(*both, atol=1e-6)


def test_focal_without_gamma_is_cross_entropy_and_with_it_less() -> None:
    plain = Criterion(Loss(), COUNTS)(logits(), TARGETS)
    assert torch.allclose(Criterion(Loss(kind="focal", gamma=0), COUNTS)(logits(), TARGETS), plain)
    assert (Criterion(Loss(kind="focal"), COUNTS)(logits(), TARGETS) < plain).all()


def test_class_weights_are_slices_over_classes_times_count() -> None:
    weighted = Criterion(Loss(class_weights=True), COUNTS)(logits(), TARGETS)
    plain = Criterion(Loss(), COUNTS)(logits(), TARGETS)
    assert torch.allclose(weighted / plain, torch.tensor([2.0, 2 / 3, 2 / 3, 2.0, 2 / 3]))


def test_mixup_mixes_each_slice_with_another() -> None:
    inputs = torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2)
    other = torch.tensor([4, 2, 0, 1, 3])
    mixed = mixup(inputs, torch.tensor(0.7), other)
    assert torch.allclose(mixed[:, 0, 0, 0], 0.7 * torch.arange(5.0) + 0.3 * other)


def test_bad_losses_are_named() -> None:
    with pytest.raises(RecipeError, match="unknown loss 'hinge'; choose from cross_entropy"):
        Criterion(Loss(kind="hinge"), COUNTS)
    with pytest.raises(RecipeError, match="expected two classes but got 4"):
        Criterion(Loss(kind="binary_cross_entropy"), torch.ones(4))(logits(4), TARGETS)
