"""Running statistics of batch normalisation for weights that never saw a batch.

After samplers that move weights without training (SWAG, IVON, dropout, noise).
"""

from __future__ import annotations

from collections.abc import Iterable

from edgeens.torch.package import nn, torch


@torch.no_grad()
def refresh_batch_norm(module: nn.Module, inputs: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of *module* by the mean of those of *inputs*, in place.

    Nothing else trains or drops meanwhile, and the module ends in evaluation mode. Without batch
    normalisation the inputs are not looked at.

    Args:
        module: any.
        inputs: batches as the module takes them, from the training set.
    """
    module.eval()
    layers = [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch then takes the plain mean over the batches
        layer.train()
    for x in inputs:
        module(x)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    module.eval()
