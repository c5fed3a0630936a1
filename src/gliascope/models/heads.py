"""What turns a backbone's feature map into logits. A new pooling is one row of POOLINGS."""

import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Head


class Average(nn.Module):
    """Mean over places, (n, channels): Lin et al., Network in Network, 2014."""

    factor = 1
    """Features for each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels × factor)."""
        return maps.mean((2, 3))


class Dual(Average):
    """Mean and maximum over places; all means, then all maxima."""

    factor = 2

    def forward(self, maps: Tensor) -> Tensor:
        """As the base class says."""
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


POOLINGS: dict[str, type[Average]] = {"average": Average, "dual": Dual}

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "swish": nn.SiLU}


class ClassifierHead(nn.Module):
    """Feature map (n, channels, height, width) to logits (n, classes), in two steps."""

    classes: int
    has_maps = False
    """Whether the head has class activation maps in closed form."""

    @property
    def penalised(self) -> list[Tensor]:
        """Weights whose squares the recipe's `head.l2` penalises."""
        return []

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


class DenseHead(ClassifierHead):
    """Pooling, dense layers with an activation, and a linear layer: one neuron a class, or one for two."""

    def __init__(self, head: Head, channels: int, classes: int) -> None:
        super().__init__()
        self.classes, self.sigmoid, self.pool = classes, head.sigmoid, POOLINGS[head.pooling]()
        self.has_maps = head.pooling == "average" and not head.hidden and not head.batch_norm
        width, hidden = channels * self.pool.factor, nn.Sequential()
        for number, outputs in enumerate(head.hidden):
            hidden.extend([*_before(head, number, width), nn.Linear(width, outputs)])
            hidden.append(ACTIVATIONS[head.activation]())
            width = outputs
        self.hidden = hidden
        self.last = nn.Sequential(*_before(head, -1, width))
        self.linear = nn.Linear(width, 1 if head.sigmoid else classes)

    @property
    def penalised(self) -> list[Tensor]:
        """Weights of the dense layers, not of the output."""
        return [layer.weight for layer in self.hidden if isinstance(layer, nn.Linear)]

    def features(self, maps: Tensor) -> Tensor:
        """What is pooled, (n, channels × factor)."""
        output: Tensor = self.pool(maps)
        return output

    def logits(self, features: Tensor) -> Tensor:
        """(n, channels × factor) to (n, classes); (0, z) for one neuron z, whose softmax is sigmoid(z)."""
        output: Tensor = self.linear(self.last(self.hidden(features)))
        return torch.cat([torch.zeros_like(output), output], dim=1) if self.sigmoid else output

    def activation_maps(self, maps: Tensor) -> Tensor:
        """The linear layer at every place (Zhou et al., Learning Deep Features for Localization, 2016).

        One neuron's map speaks for the second class, and by half each: what speaks for the first is its
        negative. That shifts both maps alike, which no softmax sees.
        """
        output = nn.functional.conv2d(maps, self.linear.weight[:, :, None, None])
        return torch.cat([-output, output], dim=1) / 2 if self.sigmoid else output


def _before(head: Head, number: int, width: int) -> list[nn.Module]:
    """What comes before a dense layer or the output."""
    norm: list[nn.Module] = [nn.BatchNorm1d(width)] if head.batch_norm else []
    return [*norm, nn.Dropout(head.dropout[number])]


def create_head(head: Head, channels: int, classes: int) -> ClassifierHead:
    """Build the head a recipe describes, for feature maps of so many channels.

    Raises RecipeError for an unknown pooling, listing the choices, and for one neuron but not two classes.
    """
    if head.pooling not in POOLINGS:
        raise RecipeError(f"unknown pooling {head.pooling!r}; choose from {', '.join(POOLINGS)}")
    if head.sigmoid and classes != 2:
        raise RecipeError(
            f"head.sigmoid expects two classes but got {classes}; set task=binary or head.sigmoid=false"
        )
    return DenseHead(head, channels, classes)
