"""Heads turn a backbone's feature map into logits. A new pooling is one row of POOLINGS."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Head


class AveragePooling(nn.Module):
    """Mean over the positions of each channel, (n, channels).

    For every pooling here, the derivatives of a feature with respect to the positions of its channel sum
    to 1. `DenseHead.activation_maps` relies on that.

    References
    ----------
    Lin et al., Network in Network, ICLR 2014.
    """

    features_per_channel = 1
    """Number of features per channel."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool feature maps (n, channels, height, width) to (n, channels × features_per_channel)."""
        return maps.mean((2, 3))


class MaxPooling(AveragePooling):
    """Maximum over the positions of each channel, (n, channels)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool feature maps, as the base class describes."""
        return maps.amax((2, 3))


class AverageMaxPooling(AveragePooling):
    """Means of all channels, then maxima of all channels, (n, 2 × channels)."""

    features_per_channel = 2

    def forward(self, maps: Tensor) -> Tensor:
        """Pool feature maps, as the base class describes."""
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


POOLINGS: dict[str, type[AveragePooling]] = {
    "average": AveragePooling,
    "max": MaxPooling,
    "dual": AverageMaxPooling,
}

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "swish": nn.SiLU}
_SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: lambda inputs: (inputs > 0).to(inputs.dtype),
    nn.SiLU: lambda inputs: inputs.sigmoid() * (1 + inputs * (1 - inputs.sigmoid())),
}
"""Derivatives of the ACTIVATIONS."""


class ClassifierHead(nn.Module):
    """Base class of heads: feature map (n, channels, height, width) to features to logits (n, classes)."""

    class_count: int
    has_activation_maps = False
    """Whether `activation_maps` is implemented."""

    @property
    def l2_weights(self) -> list[Tensor]:
        """Weights whose squares `head.l2` of the recipe penalises."""
        return []

    def features(self, maps: Tensor) -> Tensor:
        """Return features (n, features) of feature maps (n, channels, height, width)."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """Return logits (n, classes) of features (n, features)."""
        raise NotImplementedError

    def activation_maps(self, maps: Tensor) -> Tensor:
        """Return Grad-CAM maps of all classes, (n, classes, height, width), in evaluation mode.

        The maps are multiplied by the number of positions and have no final ReLU: values below 0 are evidence
        against the class. Heads without `has_activation_maps` raise NotImplementedError.

        References
        ----------
        Selvaraju et al., Grad-CAM, ICCV 2017.
        """
        raise NotImplementedError

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits (n, classes) of feature maps (n, channels, height, width)."""
        return self.logits(self.features(maps))


class DenseHead(ClassifierHead):
    """Pooling, dense layers with an activation, and a linear output layer.

    Parameters
    ----------
    head
        The recipe's description of the head. With `sigmoid`, one output neuron stands for two classes.
    channels
        Channels of the feature map.
    classes
        Number of classes.
    """

    has_activation_maps = True

    def __init__(self, head: Head, channels: int, classes: int) -> None:
        super().__init__()
        self.class_count, self.sigmoid, self.pool = classes, head.sigmoid, POOLINGS[head.pooling]()
        width, hidden = channels * self.pool.features_per_channel, nn.Sequential()
        for number, outputs in enumerate(head.hidden):
            hidden.extend([*_before(head, number, width), nn.Linear(width, outputs)])
            hidden.append(ACTIVATIONS[head.activation]())
            width = outputs
        self.hidden = hidden
        self.last = nn.Sequential(*_before(head, -1, width))
        self.linear = nn.Linear(width, 1 if head.sigmoid else classes)

    @property
    def l2_weights(self) -> list[Tensor]:
        """Weights of the dense layers, without those of the output layer."""
        return [layer.weight for layer in self.hidden if isinstance(layer, nn.Linear)]

    def features(self, maps: Tensor) -> Tensor:
        """Return pooled features, (n, channels × features_per_channel)."""
        output: Tensor = self.pool(maps)
        return output

    def logits(self, features: Tensor) -> Tensor:
        """Return logits (n, classes); one neuron z gives (0, z), whose softmax is sigmoid(z) for class 1."""
        output: Tensor = self.linear(self.last(self.hidden(features)))
        return torch.cat([torch.zeros_like(output), output], dim=1) if self.sigmoid else output

    def activation_maps(self, maps: Tensor) -> Tensor:
        """Return channels weighted by the derivative of each class's logit with respect to their features.

        Grad-CAM weights a channel by the mean over positions of the logit's derivative. With the poolings of
        this module, that is the derivative with respect to the channel's features, divided by the number of
        positions. With average pooling and no dense layer, the result is the class activation map, whose mean
        is the logit without its bias.

        A single output neuron gives half its map to the second class and the negative half to the first. This
        changes both logits by the same amount, which does not change their softmax.

        References
        ----------
        Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
        """
        slopes = self._slopes(self.pool(maps))
        neurons = slopes.shape[1]
        weights = slopes.reshape(-1, neurons, self.pool.features_per_channel, maps.shape[1]).sum(2)
        output = (weights @ maps.flatten(2)).reshape(-1, neurons, *maps.shape[2:])
        return torch.cat([-output, output], dim=1) / 2 if self.sigmoid else output

    def _slopes(self, features: Tensor) -> Tensor:
        """Return the derivatives of the output neurons by the features: (n or 1, neurons, features)."""
        layers, inputs = [*self.hidden, *self.last], []
        for layer in layers:
            inputs.append(features)
            features = layer(features)
        slopes = self.linear.weight[None]
        for layer, values in zip(reversed(layers), reversed(inputs), strict=True):
            slopes = _backpropagate(slopes, layer, values)
        return slopes


def _backpropagate(slopes: Tensor, layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return derivatives by a layer's inputs, (n, k, inputs), given those by its outputs, (n, k, outputs).

    The layer is in evaluation mode, and `inputs` (n, inputs) is its input.
    """
    if isinstance(layer, nn.Linear):
        return slopes @ layer.weight
    if isinstance(layer, nn.BatchNorm1d):
        # In evaluation mode the layer is a scale and a shift.
        assert layer.running_var is not None  # noqa: S101 (heads track statistics)
        return slopes * (layer.weight * (layer.running_var + layer.eps) ** -0.5)
    if isinstance(layer, nn.Dropout):
        return slopes
    return slopes * _SLOPES[type(layer)](inputs)[:, None]


def _before(head: Head, number: int, width: int) -> list[nn.Module]:
    """Return the layers before a dense layer or the output layer."""
    norm: list[nn.Module] = [nn.BatchNorm1d(width)] if head.batch_norm else []
    return [*norm, nn.Dropout(head.dropout[number])]


def create_head(head: Head, channels: int, class_count: int) -> ClassifierHead:
    """Build the head that a recipe describes.

    Parameters
    ----------
    head
        The recipe's description.
    channels
        Channels of the feature map.
    class_count
        Number of classes.

    Raises
    ------
    RecipeError
        If the pooling is unknown, or `head.sigmoid` is set for other than two classes.
    """
    if head.pooling not in POOLINGS:
        raise RecipeError(f"unknown pooling {head.pooling!r}; choose from {', '.join(POOLINGS)}")
    if head.sigmoid and class_count != 2:
        raise RecipeError(
            f"head.sigmoid expects two classes but got {class_count}; set task=binary or head.sigmoid=false"
        )
    return DenseHead(head, channels, class_count)
