"""Snapshot ensembles (SSE): one training run, a member at the end of each cycle of the rate.

Huang et al., "Snapshot Ensembles: Train 1, Get M for Free", 2017.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

from edgeens.errors import MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.loss import Loss
from edgeens.torch.schedule import cyclic_cosine


def train_snapshots(
    module: nn.Module,
    loss: Loss,
    *,
    steps: int,
    cycles: int,
    learning_rate: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> list[nn.Module]:
    """Train *module* in place; returns its copies at the ends of the cycles, in evaluation mode.

    The rate follows Huang et al., Eq. 2: half a cosine from *learning_rate* to nearly 0, then
    suddenly *learning_rate* again. The optimizer is stochastic gradient descent.

    Args:
        module: initial weights, on any device.
        loss: on batch 0 to steps - 1.
        steps: in all.
        cycles: members to get; a cycle has ceil(steps / cycles) steps, the last what is left.
        learning_rate: at the start of each cycle.
        momentum: of the optimizer; kept across cycles.
        weight_decay: L2 term of the gradient.
        seed: of the module's own random numbers, such as dropout.

    Raises:
        MembersError: there are too few steps for so many cycles.
    """
    optimizer = torch.optim.SGD(
        module.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    ends = set(cycle_ends(steps=steps, cycles=cycles))
    members = []
    for step in range(steps):
        module.train()
        torch.manual_seed(derived_seed(seed, "noise", step))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * cyclic_cosine(step, steps=steps, cycles=cycles)
        optimizer.zero_grad()
        torch.autograd.backward(loss(module, step))
        optimizer.step()
        if step + 1 in ends:
            members.append(copy.deepcopy(module).eval())
    return members


def cycle_ends(*, steps: int, cycles: int) -> Iterator[int]:
    """After how many steps each cycle of torch.schedule.cyclic_cosine is over.

    Raises:
        MembersError: a cycle would have no step.
    """
    length = math.ceil(steps / cycles)
    if cycles < 1 or length * (cycles - 1) >= steps:
        raise MembersError(
            f"{steps} steps do not make {cycles} cycles of {length}; take more steps or fewer "
            "cycles"
        )
    return (min(length * (cycle + 1), steps) for cycle in range(cycles))
