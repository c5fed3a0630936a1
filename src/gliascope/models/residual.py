"""The residual network, built from scratch: He et al., Deep Residual Learning for Image Recognition, 2016."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)


class _Block(nn.Module):
    """Convolutions beside a skip connection: relu(branch(x) + x), x being projected where shapes differ."""

    expansion = 1
    """Channels of the output for each channel of the width."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the skip connection."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, width × expansion, h / stride, w / stride)."""
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
        """As the base class says."""
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
        """As the base class says."""
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        output: Tensor = self.bn3(self.conv3(x))
        return output


@dataclass(frozen=True, slots=True)
class Depth:
    """A column of table 1: the block, how often it comes in each of four stages, and published FLOPs."""

    block: type[_Block]
    repeats: tuple[int, int, int, int]
    flops: float
    """Multiply-adds of one 224×224 image, as the paper has them: rounded or cut to one decimal."""


DEPTHS = {
    18: Depth(BasicBlock, (2, 2, 2, 2), 1.8e9),
    34: Depth(BasicBlock, (3, 4, 6, 3), 3.6e9),
    50: Depth(Bottleneck, (3, 4, 6, 3), 3.8e9),
    101: Depth(Bottleneck, (3, 4, 23, 3), 7.6e9),
    152: Depth(Bottleneck, (3, 8, 36, 3), 11.3e9),
}


class ResidualNetwork(nn.Module):
    """Images (n, 3, height, width) to a feature map, (n, num_features, height / 32, width / 32).

    Parts are named as torchvision and timm name theirs. Weights are drawn as in He et al., Delving Deep
    into Rectifiers, 2015.
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
        """As the class says."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        output: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return output


def _stage(block: type[_Block], inputs: int, width: int, repeats: int, stride: int) -> nn.Sequential:
    first = block(inputs, width, stride)
    return nn.Sequential(
        first, *(block(width * block.expansion, width, stride=1) for _ in range(repeats - 1))
    )


def multiply_adds(depth: int, size: int = 224, classes: int = 1000) -> int:
    """Multiply-adds of one square image of side `size`: convolutions and one dense layer after pooling.

    That is what table 1 calls FLOPs; batch normalisation, activations and additions are not counted.
    """
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += int(output[0, 0].numel()) * int(module.weight.numel())  # type: ignore[operator]

    with torch.device("meta"), torch.no_grad():  # shapes alone
        network = ResidualNetwork(depth).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.zeros(1, 3, size, size))
    return total + network.num_features * classes
