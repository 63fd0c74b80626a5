"""Monte Carlo dropout: members that each miss other inputs of their layers.

Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016: a draw of the approximate posterior
is W diag(z), with z Bernoulli. A member keeps its z for all inputs, so that it is an ordinary
module; at run time dropout would draw z anew for each input, from the same distribution.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from edgeens.errors import MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.batch_norm import refresh_batch_norm

_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@torch.no_grad()
def dropout_members(
    module: nn.Module,
    count: int,
    *,
    rate: float,
    seed: int,
    layers: Sequence[str] | None = None,
    inputs: Sequence[torch.Tensor] = (),
) -> list[nn.Module]:
    """*count* copies of *module* in evaluation mode; each misses some inputs of its layers.

    Args:
        module: trained, usually with dropout before the same layers.
        count: how many.
        rate: probability of an input feature or channel to be missed, 0 <= rate < 1; the others are
            multiplied by 1 / (1 - rate).
        seed: member k depends on (seed, k) alone.
        layers: names of the Linear, Conv1d and Conv2d layers whose inputs are dropped; default:
            all of them but the first, which sees the data.
        inputs: training batches, for the running statistics of each member, if it has any.

    Raises:
        MembersError: the rate is out of range, or there is no such layer.
    """
    if not 0 <= rate < 1:
        raise MembersError(f"the rate of dropout is at least 0 and below 1, not {rate}")
    known = [name for name, layer in module.named_modules() if isinstance(layer, _KINDS)]
    chosen = known[1:] if layers is None else list(layers)
    for name in chosen:
        if name not in known:
            raise MembersError(
                f"there is no Linear, Conv1d or Conv2d layer {name!r}; there are {', '.join(known)}"
            )
    members = []
    for number in range(count):
        generator = torch.Generator().manual_seed(derived_seed(seed, "noise", number))
        member = copy.deepcopy(module)
        for name in chosen:
            _drop_inputs(member.get_submodule(name), rate, generator)
        refresh_batch_norm(member, inputs)
        members.append(member)
    return members


def _drop_inputs(layer: nn.Module, rate: float, generator: torch.Generator) -> None:
    """Multiply the weights of each input by its z."""
    weight = layer.weight
    groups = getattr(layer, "groups", 1)
    features = weight.shape[1] * groups
    kept = torch.rand(features, generator=generator) >= rate
    z = (kept / (1 - rate)).to(weight)
    # Output row o of a grouped convolution sees the inputs of its own group.
    by_row = z.view(groups, weight.shape[1]).repeat_interleave(len(weight) // groups, dim=0)
    weight.mul_(by_row.view(*by_row.shape, *(1,) * (weight.ndim - 2)))
