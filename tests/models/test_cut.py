import pytest
import torch

from gliascope.errors import RecipeError
from gliascope.models.backbones import create_backbone
from gliascope.models.cut import cut_network


@pytest.mark.parametrize(
    ("name", "part", "size"),
    [
        ("tf_efficientnet_lite0", "blocks.4", 64),
        ("tf_efficientnetv2_b0", "blocks.3", 64),
        ("resnet18", "layer3", 64),
        ("vgg11", "features.10", 64),
        ("inception_v3", "Mixed_6c", 128),
    ],
)
def test_the_two_halves_compute_the_whole_and_share_its_parameters(name: str, part: str, size: int) -> None:
    torch.manual_seed(0)
    network = create_backbone(name).eval()
    prefix, tail = cut_network(network, part)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(tail(prefix(images)), network(images))
    own = {id(parameter) for parameter in network.parameters()}
    before, after = ({id(p) for p in half.parameters()} for half in (prefix, tail))
    assert before and after
    assert not before & after
    assert before | after <= own


def test_batch_norm_of_the_tail_follows_training_and_that_of_the_prefix_does_not() -> None:
    network = create_backbone("tf_efficientnet_lite0")
    prefix, tail = cut_network(network, "blocks.4")
    prefix.eval()
    tail.train()
    with torch.no_grad():
        tail(prefix(torch.randn(2, 3, 64, 64)))
    assert network.bn1.num_batches_tracked == 0
    assert network.bn2.num_batches_tracked == 1


def test_bad_names_list_the_choices() -> None:
    network = create_backbone("resnet18")
    with pytest.raises(RecipeError, match=r"no part 'layer9' to freeze; choose from .*layer1"):
        cut_network(network, "layer9")
    with pytest.raises(RecipeError, match="a connection runs past it"):
        cut_network(network, "layer3.0.conv1")
