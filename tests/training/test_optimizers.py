import pytest
import torch
from torch import nn

from gliascope.errors import RecipeError
from gliascope.recipes import Stage
from gliascope.training.optimizers import OPTIMIZERS, create_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_contract_every_optimizer_goes_downhill_and_spares_what_is_frozen(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    network[0].requires_grad_(False)
    before = network[0].weight.clone()
    optimizer = create_optimizer(network, Stage(epochs=1, freeze=None, optimizer=name), torch.tensor(0.01))
    inputs, losses = torch.randn(16, 3), []
    for _ in range(20):
        loss = (network(inputs) - 1).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert torch.equal(network[0].weight, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_contract_weights_decay_and_biases_do_not(name: str) -> None:
    layer = nn.Linear(2, 2)
    stage = Stage(epochs=1, freeze=None, optimizer=name, weight_decay=0.5)
    optimizer = create_optimizer(layer, stage, torch.tensor(0.1))
    assert {
        len(g["params"]): g["weight_decay"] for g in optimizer.param_groups if g["params"][0].ndim > 1
    } == {1: 0.5}
    weight, bias = layer.weight.detach().abs().sum(), layer.bias.detach().clone()
    (0 * sum(p.sum() for p in layer.parameters())).backward()
    optimizer.step()
    assert layer.weight.abs().sum() < weight
    assert torch.equal(layer.bias, bias)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_contract_the_rate_is_what_the_tensor_holds(name: str) -> None:
    layer, rate = nn.Linear(2, 2), torch.tensor(0.0)
    optimizer = create_optimizer(layer, Stage(epochs=1, freeze=None, optimizer=name), rate)
    before = layer.weight.detach().clone()
    for moves in (False, True):
        rate.fill_(0.1 * moves)
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        assert torch.equal(layer.weight, before) != moves


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(RecipeError, match="unknown optimizer 'lion'; choose from adam"):
        create_optimizer(nn.Linear(1, 1), Stage(epochs=1, freeze=None, optimizer="lion"), torch.tensor(0.1))
