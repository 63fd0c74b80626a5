"""Two small networks for pictures of 28 x 28: a multilayer perceptron and a convolutional network.

Layers of nn.Sequential only; untrained, drawn from torch's global generator.
"""

from __future__ import annotations

from edgeens.torch.package import nn


def mlp() -> nn.Module:
    """784-128-10 with ReLU: 101 632 weights; (n, 1, 28, 28) to logits (n, 10)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def small_cnn() -> nn.Module:
    """Two convolutions and two dense layers: 105 744 weights; (n, 1, 28, 28) to logits (n, 10)."""
    return nn.Sequential(
        *_convolution(1, 16),
        *_convolution(16, 32),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
