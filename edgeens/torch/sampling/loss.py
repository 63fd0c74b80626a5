"""The loss of a module on one batch, as every sampler of this room takes it.

Before the samplers: they ask for the loss on batch number *step*, and need to know nothing of data.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeens.torch.batches import Batches
from edgeens.torch.package import F, nn, torch

# The mean negative log-likelihood of the module on batch number `step`, in nats: a scalar.
Loss = Callable[[nn.Module, int], torch.Tensor]


def cross_entropy(batches: Batches) -> Loss:
    """The loss of a classifier that maps pictures (n, ...) to logits (n, classes).

    Args:
        batches: of one member (members=1).
    """

    def loss(module: nn.Module, step: int) -> torch.Tensor:
        x, labels = batches.at(step)
        return F.cross_entropy(module(x), labels[0])

    return loss
