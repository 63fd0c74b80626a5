"""Gaussian noise on the weights of one trained module: the plainest way to get members.

A baseline of the LPE-BSR paper (theta + normal(0, sigma^2)); needs no training.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from edgeens.errors import MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.batch_norm import refresh_batch_norm


@torch.no_grad()
def gaussian_members(
    module: nn.Module,
    count: int,
    *,
    sigma: float,
    seed: int,
    inputs: Sequence[torch.Tensor] = (),
) -> list[nn.Module]:
    """*count* copies of *module* in evaluation mode, with noise on weights of two or more axes.

    Args:
        module: trained.
        count: how many.
        sigma: standard deviation of the noise, in the unit of the weights.
        seed: member k depends on (seed, k) alone.
        inputs: training batches, for the running statistics of each member, if it has any.

    Raises:
        MembersError: sigma is negative.
    """
    if not sigma >= 0:
        raise MembersError(f"the deviation of the noise is at least 0, not {sigma}")
    members = []
    for number in range(count):
        generator = torch.Generator().manual_seed(derived_seed(seed, "noise", number))
        member = copy.deepcopy(module)
        for parameter in member.parameters():
            if parameter.ndim >= 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter), alpha=sigma)
        refresh_batch_norm(member, inputs)
        members.append(member)
    return members
