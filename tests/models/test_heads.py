import pytest
import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.models.heads import ACTIVATIONS, POOLINGS, ClassifierHead, create_head
from gliascope.recipes import Head

THREE_STAGE = Head(
    pooling="dual",
    hidden=(5, 3),
    activation="swish",
    batch_norm=True,
    dropout=(0.4, 0.4, 0.3),
    l2=1e-4,
)


def maps_of(channels: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(4, channels, 4, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("options", [{}, {"hidden": (7,), "dropout": (0.0, 0.5)}, {"sigmoid": True}])
def test_contract_every_pooling_maps_features_to_logits(pooling: str, options: dict) -> None:
    classes = 2 if "sigmoid" in options else 3
    head = create_head(Head(pooling=pooling, **options), channels=6, class_count=classes).eval()
    logits = head(maps_of())
    assert head.class_count == classes
    assert logits.shape == (4, classes)
    assert head.features(maps_of()).shape == (4, 6 * POOLINGS[pooling].features_per_channel)
    assert torch.allclose(logits, head.logits(head.features(maps_of())))
    # Pooling knows no places: neither their order nor how often all of them come.
    assert torch.allclose(head(maps_of().flip(-1).repeat(1, 1, 2, 1)), logits, atol=1e-5)
    assert head.has_activation_maps
    assert head.activation_maps(maps_of()).shape == (4, classes, 4, 5)


def test_unknown_poolings_list_the_choices() -> None:
    with pytest.raises(RecipeError, match="unknown pooling 'gsp'; choose from average, max, dual"):
        create_head(Head(pooling="gsp"), channels=6, class_count=3)


def test_dual_pooling_is_the_mean_then_the_maximum() -> None:
    maps = torch.tensor([[[[1.0, 3.0]], [[0.0, -4.0]]]])
    assert POOLINGS["dual"]()(maps).tolist() == [[2.0, -2.0, 3.0, 0.0]]


@pytest.mark.parametrize("sigmoid", [False, True])
def test_maps_average_to_the_logits_without_bias(sigmoid: bool) -> None:
    """The defining property of class activation maps, up to what softmax does not see."""
    head = create_head(Head(sigmoid=sigmoid), channels=6, class_count=2).eval()
    bias = nn.functional.pad(head.linear.bias, (1, 0)) if sigmoid else head.linear.bias
    expected = head(maps_of()) - bias
    found = head.activation_maps(maps_of()).mean((2, 3))
    assert torch.allclose(found[:, 1] - found[:, 0], expected[:, 1] - expected[:, 0], atol=1e-6)
    assert sigmoid or torch.allclose(found, expected, atol=1e-6)


def trained(head: ClassifierHead) -> ClassifierHead:
    """Statistics of batch norm that differ from channel to channel."""
    for seed in range(3):
        head.train()(5 * maps_of(seed=seed) + torch.arange(6)[:, None, None])
    return head.eval()


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_maps_are_grad_cam(
    pooling: str, activation: str, hidden: tuple[int, ...], batch_norm: bool, sigmoid: bool
) -> None:
    """To rounding, what automatic differentiation gives (Selvaraju et al. 2017, equations 1 and 2)."""
    torch.manual_seed(0)
    dropout = (0.3,) * (len(hidden) + 1)
    recipe = Head(
        pooling=pooling, hidden=hidden, activation=activation, batch_norm=batch_norm,
        dropout=dropout, sigmoid=sigmoid,
    )  # fmt: skip
    head = trained(create_head(recipe, channels=6, class_count=2 if sigmoid else 3)).double()
    maps = maps_of(seed=9).double().requires_grad_()
    logits = head(maps)
    if sigmoid:  # (0, z) says the same as (-z, z) / 2
        logits = logits - logits.mean(1, keepdim=True)
    found = head.activation_maps(maps)
    for label in range(logits.shape[1]):
        (slope,) = torch.autograd.grad(logits[:, label].sum(), maps, retain_graph=True)
        expected = (slope.mean((2, 3), keepdim=True) * maps).sum(1)
        assert torch.allclose(found[:, label] / 20, expected, rtol=1e-10, atol=1e-12)


def test_dense_layers_come_in_the_published_order() -> None:
    """Of the three-stage EfficientNetV2-S project."""
    head = create_head(THREE_STAGE, channels=6, class_count=3)
    parts = (head.pool, head.hidden, head.last, head.linear)
    leaves = [m for part in parts for m in part.modules() if not list(m.children())]
    kinds = [type(module).__name__ for module in leaves]
    dense = ["BatchNorm1d", "Dropout", "Linear"]
    assert kinds == ["AverageMaxPooling", *dense, "SiLU", *dense, "SiLU", *dense]
    assert [module.p for module in head.modules() if isinstance(module, nn.Dropout)] == [0.4, 0.4, 0.3]
    assert [list(weight.shape) for weight in head.l2_weights] == [[5, 12], [3, 5]]
    assert create_head(Head(), channels=6, class_count=3).l2_weights == []


def test_one_neuron_is_a_sigmoid_of_two_classes() -> None:
    head = create_head(Head(hidden=(5,), dropout=(0, 0), sigmoid=True), channels=6, class_count=2).eval()
    logits = head(maps_of())
    neuron = head.linear(head.hidden(head.features(maps_of())))
    assert head.linear.out_features == 1
    assert torch.allclose(logits.softmax(1)[:, 1:], neuron.sigmoid())
    with pytest.raises(RecipeError, match=r"head\.sigmoid expects two classes but got 4"):
        create_head(Head(sigmoid=True), channels=6, class_count=4)


def test_the_plain_head_draws_what_one_linear_layer_draws() -> None:
    """So that `quick` keeps its bits."""
    torch.manual_seed(3)
    head = create_head(Head(dropout=(0.2,)), channels=6, class_count=4)
    torch.manual_seed(3)
    linear = nn.Linear(6, 4)
    assert torch.equal(head.linear.weight, linear.weight)
    assert torch.equal(head.linear.bias, linear.bias)
