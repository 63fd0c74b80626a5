"""Residual networks for pictures of 32 x 32 (He et al., 2016): ResNet18, ResNet20 and ResNet8.

Shortcuts that change shape are 1 x 1 convolutions in both (the paper's option B). For ResNet20 the
paper pads with zeros instead; a convolution is a layer that every conversion knows, for 1 % more
weights.
"""

from __future__ import annotations

from edgeens.torch.models.initial import he_initialised
from edgeens.torch.package import nn, torch


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, ReLU of their sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Map (n, inputs, r, c) to (n, outputs, r / stride, c / stride)."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features to features."""
        result: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return result


def resnet18() -> nn.Module:
    """Widths 64 to 512, two blocks each: 11 164 352 weights; (n, 3, 32, 32) to logits (n, 10).

    The form for CIFAR: a 3 x 3 convolution and no pooling at the start.
    """
    return _resnet(widths=(64, 128, 256, 512), blocks=2)


def resnet20() -> nn.Module:
    """Widths 16, 32, 64, three blocks each: 270 896 weights; (n, 3, 32, 32) to logits (n, 10)."""
    return _resnet(widths=(16, 32, 64), blocks=3)


def resnet8() -> nn.Module:
    """Widths 16, 32, 64, one block each: 77 360 weights; (n, 3, 32, 32) to logits (n, 10).

    The network of MLPerf Tiny's image classification.
    """
    return _resnet(widths=(16, 32, 64), blocks=1)


def _resnet(*, widths: tuple[int, ...], blocks: int) -> nn.Module:
    inputs = widths[0]
    layers: list[nn.Module] = [
        nn.Conv2d(3, inputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
    ]
    for stage, outputs in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers.append(ResidualBlock(inputs, outputs, stride))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)]
    return he_initialised(nn.Sequential(*layers))
