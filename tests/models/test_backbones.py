import pytest
import torch
from networks import NETWORKS
from torch import nn

from gliascope.errors import WeightsError
from gliascope.models import backbones
from gliascope.models.backbones import (
    OWN_BACKBONES,
    backbone_defaults,
    complete_recipe,
    create_backbone,
    execution_order,
)
from gliascope.recipes import load_recipe


@pytest.mark.parametrize("name", [*OWN_BACKBONES, *NETWORKS])
def test_contract_every_backbone_has_defaults_that_fit_it(name: str) -> None:
    backbone = backbone_defaults(name)
    assert backbone.input_size >= 224
    assert all(0 <= value < 1 for value in backbone.mean)
    assert all(0 < value <= 1 for value in backbone.std)
    with torch.device("meta"):
        network = create_backbone(name).eval()
        parts = {backbone.saliency_layer: None}
        network.get_submodule(backbone.saliency_layer).register_forward_hook(
            lambda *values: parts.update({backbone.saliency_layer: values[2]})
        )
        maps = network(torch.zeros(2, 3, 128, 128))
    assert maps.ndim == 4
    assert parts[backbone.saliency_layer] is maps
    layers = execution_order(network, torch.zeros(1, 3, 128, 128, device="meta"))
    assert layers.index(backbone.top30_layer) == pytest.approx(0.7 * len(layers), abs=1.6)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("tf_efficientnet_lite0", "bn2"),
        ("resnet50.tv_in1k", "layer4"),
        ("vgg16.tv_in1k", "features"),
        ("inception_v3.tv_in1k", "Mixed_7c"),
        ("residual18", "layer4"),
        ("mobilenetv3_small_050", "act2"),  # which changes what conv_head returned
    ],
)
def test_saliency_is_of_the_last_part_not_of_the_pooling_after_it(name: str, part: str) -> None:
    assert backbone_defaults(name).saliency_layer == part


def test_the_tag_decides_the_normalisation() -> None:
    assert backbone_defaults("inception_v3.tv_in1k").mean == (0.5, 0.5, 0.5)
    assert backbone_defaults("inception_v3.gluon_in1k").mean == (0.485, 0.456, 0.406)


def test_a_recipe_gets_what_it_does_not_state() -> None:
    bare = load_recipe("quick", ["preprocessing.mean=null", "preprocessing.std=null"])
    assert complete_recipe(bare) == load_recipe("quick")  # which states the Lite's own, as published
    stated = load_recipe("quick", ["preprocessing.std=null", "backbone=resnet50.tv_in1k"])
    assert complete_recipe(stated).preprocessing.mean == (0.498, 0.498, 0.498)
    assert complete_recipe(stated).preprocessing.std == (0.229, 0.224, 0.225)


def test_bad_names_and_tags_list_near_ones() -> None:
    with pytest.raises(WeightsError, match=r"unknown backbone 'residual19'; the nearest are .*residual18"):
        complete_recipe(load_recipe("quick", ["backbone=residual19"]))
    with pytest.raises(WeightsError, match=r"timm has no weights 'vgg16\.in1k'; it has vgg16\.tv_in1k"):
        create_backbone("vgg16.in1k")


def test_vgg_comes_without_its_dense_layers() -> None:
    with torch.device("meta"):
        network = create_backbone("vgg16")
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 2, 2)
    assert sum(p.numel() for p in network.parameters()) == 14_714_688  # as Keras prints without its top


class _Shuffled(nn.Module):
    """Runs its layers in another order than it names them, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 3, 1)
        self.off = nn.Identity()
        self.relu = nn.ReLU()
        self.unused = nn.Conv2d(3, 3, 1)
        self.first = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.relu(self.last(self.off(self.relu(self.first(images)))))


def test_layers_are_counted_in_the_order_in_which_they_run() -> None:
    network = _Shuffled().train()
    network.first[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert execution_order(network, torch.ones(1, 3, 4, 4)) == ("first.0", "first.1", "relu", "last")
    assert network.training
    assert network.relu.training
    assert not network.first[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_parameters_of_a_block_itself_come_after_its_layers() -> None:
    with torch.device("meta"):
        order = execution_order(create_backbone("convnext_atto"), torch.zeros(1, 3, 64, 64))
    block = [name for name in order if f"{name}.".startswith("stages.0.blocks.0.")]
    assert block[-1] == "stages.0.blocks.0"
    assert block[0] == "stages.0.blocks.0.conv_dw"


def test_structure_is_computed_without_touching_random_numbers() -> None:
    backbones._structure.cache_clear()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert backbone_defaults("residual18").saliency_layer
    assert torch.equal(torch.rand(1), expected)
