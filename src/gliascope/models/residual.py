"""The residual network, built from scratch: He et al., Deep Residual Learning for Image Recognition, 2016."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)


class _Block(nn.Module):
    """Convolutions and a skip connection: relu(branch(x) + x), where x is projected if shapes differ."""

    expansion = 1
    """Output channels per channel of `width`."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def branch(self, x: Tensor) -> Tensor:
        """Return what the convolutions add to the skip connection."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, width × expansion, h / stride, w / stride)."""
        output: Tensor = self.relu(self.branch(x) + self.downsample(x))
        return output


class BasicBlock(_Block):
    """Two 3×3 convolutions (figure 5, left)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)

    def branch(self, x: Tensor) -> Tensor:
        """Return what the convolutions add to the skip connection."""
        x = self.relu1(self.bn1(self.conv1(x)))
        output: Tensor = self.bn2(self.conv2(x))
        return output


class Bottleneck(_Block):
    """1×1 to narrow, 3×3, 1×1 to widen (figure 5, right); the stride is in the first, as published."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.conv1 = _conv(inputs, width, 1, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = _conv(width, width * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)

    def branch(self, x: Tensor) -> Tensor:
        """Return what the convolutions add to the skip connection."""
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        output: Tensor = self.bn3(self.conv3(x))
        return output


@dataclass(frozen=True, slots=True)
class Depth:
    """A column of the paper's table 1: block, its repeats in each of four stages, and published FLOPs."""

    block: type[_Block]
    repeats: tuple[int, int, int, int]
    flops: float
    """Multiply-adds of one 224×224 image, as published: rounded or cut to one decimal."""


DEPTHS = {
    18: Depth(BasicBlock, (2, 2, 2, 2), 1.8e9),
    34: Depth(BasicBlock, (3, 4, 6, 3), 3.6e9),
    50: Depth(Bottleneck, (3, 4, 6, 3), 3.8e9),
    101: Depth(Bottleneck, (3, 4, 23, 3), 7.6e9),
    152: Depth(Bottleneck, (3, 8, 36, 3), 11.3e9),
}


class ResidualNetwork(nn.Module):
    """Images (n, 3, height, width) to a feature map, (n, num_features, height / 32, width / 32).

    Modules have the names that torchvision and timm use.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    He et al., Delving Deep into Rectifiers, ICCV 2015, for the initial weights.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        block, repeats = DEPTHS[depth].block, DEPTHS[depth].repeats
        self.conv1 = _conv(3, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, 64, 64, repeats[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, repeats[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, repeats[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, repeats[3], stride=2)
        self.num_features = 512 * block.expansion
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map of `images`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        output: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return output


def _stage(block: type[_Block], inputs: int, width: int, repeats: int, *, stride: int) -> nn.Sequential:
    first = block(inputs, width, stride)
    return nn.Sequential(
        first, *(block(width * block.expansion, width, stride=1) for _ in range(repeats - 1))
    )


def multiply_adds(depth: int, size: int = 224, classes: int = 1000) -> int:
    """Count the multiply-adds of one square image in the convolutions and a dense layer after pooling.

    Table 1 of the paper calls these FLOPs. Batch normalisation, activations and additions do not count.

    Parameters
    ----------
    depth
        A key of DEPTHS.
    size
        Side of the image, in pixels.
    classes
        Outputs of the dense layer.
    """
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += int(output[0, 0].numel()) * int(module.weight.numel())  # type: ignore[operator]

    with torch.device("meta"), torch.no_grad():  # computes shapes only
        network = ResidualNetwork(depth).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.zeros(1, 3, size, size))
    return total + network.num_features * classes
