"""What turns a backbone's feature map into logits. A new pooling is one row of POOLINGS."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gliascope.errors import RecipeError
from gliascope.recipes import Head


class AveragePooling(nn.Module):
    """Mean over places, (n, channels): Lin et al., Network in Network, 2014.

    Of every pooling here, the derivatives of a feature by its channel's places sum to 1: what is added to
    all places is added to the feature. Grad-CAM in closed form rests on that.
    """

    features_per_channel = 1
    """Features for each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels × factor)."""
        return maps.mean((2, 3))


class MaxPooling(AveragePooling):
    """Maximum over places, (n, channels)."""

    def forward(self, maps: Tensor) -> Tensor:
        """As the base class says."""
        return maps.amax((2, 3))


class AverageMaxPooling(AveragePooling):
    """Mean and maximum over places; all means, then all maxima."""

    features_per_channel = 2

    def forward(self, maps: Tensor) -> Tensor:
        """As the base class says."""
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
"""Derivative of each of ACTIVATIONS."""


class ClassifierHead(nn.Module):
    """Feature map (n, channels, height, width) to logits (n, classes), in two steps."""

    class_count: int
    has_activation_maps = False
    """Whether the head has Grad-CAM in closed form."""

    @property
    def l2_weights(self) -> list[Tensor]:
        """Weights whose squares the recipe's `head.l2` penalises."""
        return []

    def features(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, features)."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """(n, features) to (n, classes)."""
        raise NotImplementedError

    def activation_maps(self, maps: Tensor) -> Tensor:
        """Grad-CAM of every class, (n, classes, height, width), in evaluation mode; only where `has_maps`.

        As Selvaraju et al. (Grad-CAM, 2017) define it, times the number of places, and before the final
        ReLU: what is below 0 speaks against the class.
        """
        raise NotImplementedError

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to logits (n, classes)."""
        return self.logits(self.features(maps))


class DenseHead(ClassifierHead):
    """Pooling, dense layers with an activation, and a linear layer: one neuron a class, or one for two."""

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
        """Channels, weighted by the derivative of each class's logit by their features.

        Grad-CAM weighs a channel by the mean over places of the logit's derivative; with these poolings that
        is the derivative by the channel's features, over the number of places. With average pooling and no
        dense layer it is the class activation map, whose mean is the logit without its bias (Zhou et al.,
        Learning Deep Features for Localization, 2016).

        One neuron's map speaks for the second class, and by half each: what speaks for the first is its
        negative. That shifts both logits alike, which no softmax sees.
        """
        slopes = self._slopes(self.pool(maps))
        neurons = slopes.shape[1]
        weights = slopes.reshape(-1, neurons, self.pool.features_per_channel, maps.shape[1]).sum(2)
        output = (weights @ maps.flatten(2)).reshape(-1, neurons, *maps.shape[2:])
        return torch.cat([-output, output], dim=1) / 2 if self.sigmoid else output

    def _slopes(self, features: Tensor) -> Tensor:
        """Derivative of each output neuron by each feature: (n or 1, neurons, features)."""
        layers, inputs = [*self.hidden, *self.last], []
        for layer in layers:
            inputs.append(features)
            features = layer(features)
        slopes = self.linear.weight[None]
        for layer, values in zip(reversed(layers), reversed(inputs), strict=True):
            slopes = _pulled_back(slopes, layer, values)
        return slopes


def _pulled_back(slopes: Tensor, layer: nn.Module, inputs: Tensor) -> Tensor:
    """Derivatives by a layer's inputs, (n, k, inputs), from those by its outputs, (n, k, outputs).

    inputs: (n, inputs), what the layer was given, in evaluation mode.
    """
    if isinstance(layer, nn.Linear):
        return slopes @ layer.weight
    if isinstance(layer, nn.BatchNorm1d):
        # By then the running variance is a constant, and the layer a scale and a shift.
        assert layer.running_var is not None  # noqa: S101 (heads keep statistics)
        return slopes * (layer.weight * (layer.running_var + layer.eps) ** -0.5)
    if isinstance(layer, nn.Dropout):
        return slopes
    return slopes * _SLOPES[type(layer)](inputs)[:, None]


def _before(head: Head, number: int, width: int) -> list[nn.Module]:
    """What comes before a dense layer or the output."""
    norm: list[nn.Module] = [nn.BatchNorm1d(width)] if head.batch_norm else []
    return [*norm, nn.Dropout(head.dropout[number])]


def create_head(head: Head, channels: int, class_count: int) -> ClassifierHead:
    """Build the head a recipe describes, for feature maps of so many channels.

    Raises RecipeError for an unknown pooling, listing the choices, and for one neuron but not two classes.
    """
    if head.pooling not in POOLINGS:
        raise RecipeError(f"unknown pooling {head.pooling!r}; choose from {', '.join(POOLINGS)}")
    if head.sigmoid and class_count != 2:
        raise RecipeError(
            f"head.sigmoid expects two classes but got {class_count}; set task=binary or head.sigmoid=false"
        )
    return DenseHead(head, channels, class_count)
