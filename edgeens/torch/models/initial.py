"""Initial weights of the deep networks for CIFAR-10."""

from __future__ import annotations

from edgeens.torch.package import nn


def he_initialised(model: nn.Module) -> nn.Module:
    """Draw every convolution anew, normal(0, 2 / fan-out) (He et al., 2015); returns *model*.

    torch's own initial values have a sixth of that variance, with which the deeper networks start
    slowly. Dense layers keep torch's.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
