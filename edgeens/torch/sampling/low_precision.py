"""Low precision members (LPE-BSR) of modules, which may themselves be samples of anything.

Between any sampler of this room and torch.convert. For a single model, `edgeens encode --draw`
stores the parent alone and lets the device draw; this is for studies, and for several parents.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.quantize.grid import dequantize
from edgeens.quantize.rounding import draw_members
from edgeens.torch.package import nn, torch
from edgeens.torch.weights import worth_a_grid


@torch.no_grad()
def low_precision_members(
    modules: Sequence[nn.Module],
    draws: int,
    *,
    bits: int,
    key: int = 0,
    per_channel: bool = True,
) -> list[nn.Module]:
    """*draws* members of each module, their weights rounded at random to codes of *bits* bits.

    The draws are those of quantize.rounding (SPEC S9), from tensors named by state_dict, with the
    key plus the number of the module. Parameters of fewer than two axes or 64 elements stay exact.

    Args:
        modules: parents, one after the other.
        draws: members a module, 1 to 64.
        bits: width of a code, 2 to 8.
        key: names the draws.
        per_channel: one scale an output channel instead of one a tensor.

    Returns:
        len(modules) * draws modules in evaluation mode, those of one parent together.

    Raises:
        MembersError: a number is out of range, or a weight is NaN or infinite.
    """
    members = []
    for number, module in enumerate(modules):
        tensors = tuple(
            MemberTensor(name, value.detach().cpu().numpy()[None], "float32", 0, quantise=True)
            for name, value in module.named_parameters()
            if worth_a_grid(value.detach()[None])
        )
        coded = draw_members(
            Ensemble(1, tensors),
            members=draws,
            bits=bits,
            key=key + number,
            per_channel=per_channel,
            store_members=True,
        )
        copies = [copy.deepcopy(module).eval() for _ in range(draws)]
        for tensor in coded.tensors:
            assert tensor.grid is not None
            values = torch.from_numpy(dequantize(tensor.codes, tensor.grid))
            for member, value in zip(copies, values, strict=True):
                member.get_parameter(tensor.name).copy_(value)
        members += copies
    return members
