import copy

import pytest
import torch
from torch import Tensor, nn

from gliascope.recipes import Stage
from gliascope.training.cuda_graph import CudaGraphRunner, Tensors
from gliascope.training.optimizers import OPTIMIZERS, create_optimizer

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def test_without_a_gpu_it_is_the_function() -> None:
    calls: list[object] = []

    def function(kind: int, tensors: Tensors) -> Tensors:
        calls.append(kind)
        return (tensors[0] * kind,)

    replay = CudaGraphRunner(function, enabled=False)
    assert replay(2, (torch.ones(1),))[0] == 2 and replay(3, (torch.ones(1),))[0] == 3
    assert calls == [2, 3]


@gpu
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_recorded_steps_train_as_steps_that_are_not(name: str) -> None:
    """Batches of two sizes in turn, dropout, batch statistics, and a rate that changes."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5))
    network = nn.Sequential(first, nn.Linear(8 * 36, 2)).cuda()
    batches = [torch.randn(6 + number % 2, 3, 8, 8).cuda() for number in range(12)]
    trained = []
    for recorded in (False, True):
        own, rate = copy.deepcopy(network), torch.zeros((), device="cuda")
        optimizer = create_optimizer(own, Stage(epochs=1, freeze=None, optimizer=name), rate)

        def step(kind: str, tensors: Tensors, own=own, optimizer=optimizer) -> tuple[Tensor]:
            optimizer.zero_grad()
            loss = own(tensors[0]).square().mean()
            loss.backward()
            optimizer.step()
            return (loss.detach(),)

        replay, losses = CudaGraphRunner(step, recorded), []
        for number, batch in enumerate(batches):
            torch.manual_seed(number)
            rate.fill_(0.01 / (1 + number))
            losses.append(replay("step", (batch,))[0])
        trained.append([torch.stack(losses), *own.state_dict().values()])
    for plain, replayed in zip(*trained, strict=True):
        assert torch.allclose(plain.float(), replayed.float(), rtol=1e-3, atol=1e-5)
