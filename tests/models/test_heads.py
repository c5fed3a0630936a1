import pytest
import torch

from gliascope.errors import RecipeError
from gliascope.models.heads import HEADS, create_head
from gliascope.recipes import Head


@pytest.mark.parametrize("kind", HEADS)
def test_contract_every_head_maps_features_to_logits(kind: str) -> None:
    torch.manual_seed(0)
    head = create_head(Head(kind=kind), channels=6, classes=3).eval()
    maps = torch.randn(2, 6, 4, 5)
    logits = head(maps)
    assert logits.shape == (2, 3)
    assert torch.allclose(logits, head.logits(head.features(maps)))
    if head.has_maps:
        assert head.activation_maps(maps).shape == (2, 3, 4, 5)


def test_unknown_heads_list_the_choices() -> None:
    with pytest.raises(RecipeError, match="unknown head 'gsp'; choose from gap"):
        create_head(Head(kind="gsp"), channels=6, classes=3)


def test_gap_maps_average_to_the_logits_without_bias() -> None:
    """The defining property of class activation maps."""
    torch.manual_seed(0)
    head = create_head(Head(kind="gap"), channels=6, classes=3).eval()
    maps = torch.randn(2, 6, 4, 5)
    expected = head(maps) - head.linear.bias
    assert torch.allclose(head.activation_maps(maps).mean((2, 3)), expected, atol=1e-6)
