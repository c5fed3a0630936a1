import pytest
import torch
from torch import nn

from gliascope.training.weight_averaging import EMA


def test_the_past_weighs_little_at_first_and_its_decay_later() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average, expected = EMA(network, 0.5), None
    for step in range(12):
        nn.init.constant_(network[0].weight, step + 1.0)
        network[1].running_mean.fill_(step + 1.0)
        network[1].num_batches_tracked.fill_(step)
        past = min(0.5, (1 + step) / (10 + step))
        expected = step + 1.0 if expected is None else past * expected + (1 - past) * (step + 1)
        average.update(network, step)
        linear, norm = average.module
        assert linear.weight.item() == pytest.approx(expected)
        assert norm.running_mean.item() == pytest.approx(expected)
        assert norm.num_batches_tracked == step
    assert torch.equal(network[0].weight, torch.tensor([[12.0]]))
