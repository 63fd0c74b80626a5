"""VGG11 for pictures of 32 x 32 (Simonyan and Zisserman, 2015, configuration A).

With batch normalisation and dense layers 512-256-10, as Bits-Ensemble's Table IV uses it.
"""

from __future__ import annotations

from edgeens.torch.models.initial import he_initialised
from edgeens.torch.package import nn

_CHANNELS = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")


def vgg11() -> nn.Module:
    """Eight convolutions, two dense layers: 9 351 360 weights; (n, 3, 32, 32) to logits (n, 10).

    Drawn from torch's global generator.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in _CHANNELS:
        if isinstance(outputs, str):
            layers.append(nn.MaxPool2d(2))
            continue
        convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    dense = [nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)]
    return he_initialised(nn.Sequential(*layers, *dense))
