"""What turns a backbone's feature map into logits. A new head is one class and one row of HEADS."""

from collections.abc import Callable

from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Head


class ClassifierHead(nn.Module):
    """Feature map (n, channels, height, width) to logits (n, classes), in two steps."""

    has_maps = False
    """Whether the head has class activation maps in closed form."""

    def features(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, features)."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """(n, features) to (n, classes)."""
        raise NotImplementedError

    def activation_maps(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, classes, height, width); only where `has_maps`."""
        raise NotImplementedError

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to logits (n, classes)."""
        return self.logits(self.features(maps))


class GapHead(ClassifierHead):
    """Global average pooling, dropout, one linear layer (Lin et al., Network in Network, 2014)."""

    has_maps = True

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def features(self, maps: Tensor) -> Tensor:
        """Mean over places, (n, channels)."""
        return maps.mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """(n, channels) to (n, classes)."""
        output: Tensor = self.linear(self.dropout(features))
        return output

    def activation_maps(self, maps: Tensor) -> Tensor:
        """The linear layer at every place (Zhou et al., Learning Deep Features for Localization, 2016)."""
        return nn.functional.conv2d(maps, self.linear.weight[:, :, None, None])


HEADS: dict[str, Callable[[int, int, float], ClassifierHead]] = {"gap": GapHead}


def create_head(head: Head, channels: int, classes: int) -> ClassifierHead:
    """Build the head a recipe names. Raises RecipeError listing the choices."""
    if head.kind not in HEADS:
        raise RecipeError(f"unknown head {head.kind!r}; choose from {', '.join(HEADS)}")
    return HEADS[head.kind](channels, classes, head.dropout)
