from itertools import pairwise

import pytest
import torch

from gliascope.recipes.schedules import Constant, Cosine, OneCycle, Plateau, Schedule, Step


def rates(schedule: Schedule, epochs: int, per_epoch: int, peak: float = 1.0) -> list[float]:
    return [schedule.rate(peak, step, per_epoch, epochs) for step in range(epochs * per_epoch)]


def test_constant_and_step() -> None:
    assert set(rates(Constant(), 3, 4)) == {1.0}
    stepped = rates(Step(every=7, factor=0.1), epochs=50, per_epoch=2)
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    for epoch in range(50):
        assert stepped[2 * epoch] == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_cosine_rises_linearly_then_falls_as_half_a_wave() -> None:
    factors = rates(Cosine(warmup=2), epochs=10, per_epoch=10)
    assert factors[0] == pytest.approx(1 / 20)
    assert factors[19] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[99] < 0.001
    assert all(a > b for a, b in pairwise(factors[20:]))
    assert rates(Cosine(), 1, 1) == [1]


def test_cosine_by_epoch_is_the_published_formula() -> None:
    """lr = initial (epoch + 1) / warmup, then min + (initial - min) (1 + cos pi progress) / 2."""
    published = rates(Cosine(warmup=3, floor=1e-7, by="epoch"), epochs=25, per_epoch=4, peak=1e-3)
    assert published[:12:4] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert published[8:12] == [published[8]] * 4
    assert published[12] == 1e-3  # progress 0
    assert published[56] == pytest.approx(1e-7 + (1e-3 - 1e-7) / 2)  # epoch 14 of 3..25: halfway
    assert min(published) > 1e-7


def test_one_cycle_is_torchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=60, final_div_factor=10_000, cycle_momentum=False
    )
    for mine in rates(OneCycle(), epochs=6, per_epoch=10):
        assert mine == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_plateau_lowers_after_each_wait() -> None:
    plateau = Plateau(factor=0.5, patience=2)
    assert plateau.factor_after([]) == 1
    assert plateau.factor_after([1.0, 0.9, 0.9]) == 1  # waited once
    assert plateau.factor_after([1.0, 0.9, 0.9, 0.95]) == 0.5
    assert plateau.factor_after([1.0, 0.9, 0.9, 0.95, 0.95, 0.9]) == 0.25  # equal to the best is not below it
    assert plateau.factor_after([1.0, 0.9, 0.9, 0.95, 0.8, 0.9]) == 0.5
