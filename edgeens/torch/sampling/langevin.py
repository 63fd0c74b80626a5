"""Stochastic gradient Langevin dynamics with a cyclic rate (CSGLD): samples of the posterior.

Zhang et al., "Cyclical Stochastic Gradient MCMC for Bayesian Deep Learning", 2020, Algorithm 1;
the step is that of Welling and Teh, 2011.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

from edgeens.errors import MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.loss import Loss
from edgeens.torch.sampling.snapshot import cycle_ends
from edgeens.torch.schedule import cyclic_cosine


def train_csgld(
    module: nn.Module,
    loss: Loss,
    *,
    steps: int,
    cycles: int,
    learning_rate: float,
    examples: int,
    weight_decay: float = 0.0,
    temperature: float = 1.0,
    exploration: float = 0.8,
    samples: int = 1,
    seed: int = 0,
) -> list[nn.Module]:
    """Sample members from the posterior; *module* is the state of the chain, changed in place.

    In the first part of each cycle the steps have no noise and look for a mode, in the rest they
    sample around it.

    Args:
        module: initial weights.
        loss: on batch 0 to steps - 1, the *mean* negative log-likelihood of an example.
        steps: in all.
        cycles: of the rate, each of ceil(steps / cycles) steps, the last of what is left.
        learning_rate: at the start of each cycle, for the mean loss: the paper's alpha is
            learning_rate / examples.
        examples: in the training set.
        weight_decay: precision of the Gaussian prior divided by *examples*.
        temperature: of the posterior: 1 samples it as it is, less than 1 a colder one.
        exploration: share of each cycle without noise (the paper's beta).
        samples: members to take from each cycle, evenly spaced over its sampling part, the last
            at its end.
        seed: of the noise and of the module's own random numbers.

    Returns:
        cycles * samples modules in evaluation mode.

    Raises:
        MembersError: there are too few steps for so many cycles and samples.
    """
    ends = list(cycle_ends(steps=steps, cycles=cycles))
    length = math.ceil(steps / cycles)
    silent = round(exploration * length)
    shortest = ends[-1] - length * (cycles - 1) - silent
    if not 1 <= samples <= shortest:
        raise MembersError(
            f"the sampling part of a cycle has {max(shortest, 0)} steps, too few for {samples} "
            "samples; take more steps, fewer cycles or a smaller exploration"
        )
    wanted = {
        end - round((end - start) * number / samples)
        for start, end in ((length * cycle + silent, end) for cycle, end in enumerate(ends))
        for number in range(samples)
    }
    members = []
    for step in range(steps):
        module.train()
        torch.manual_seed(derived_seed(seed, "noise", step))
        module.zero_grad()
        torch.autograd.backward(loss(module, step))
        langevin_step(
            module.parameters(),
            rate=learning_rate * cyclic_cosine(step, steps=steps, cycles=cycles),
            examples=examples,
            weight_decay=weight_decay,
            temperature=temperature if step % length >= silent else 0.0,
        )
        if step + 1 in wanted:
            members.append(copy.deepcopy(module).eval())
    return members


@torch.no_grad()
def langevin_step(
    parameters: Iterable[nn.Parameter],
    *,
    rate: float,
    examples: int,
    weight_decay: float,
    temperature: float,
) -> None:
    """w <- w - rate (g + weight_decay w) + sqrt(2 rate temperature / examples) normal(0, 1).

    With g the gradient of the mean loss. The small-rate limit has the density
    exp(-examples (loss + weight_decay |w|^2 / 2) / temperature). Where the loss has curvature h in
    one direction, a finite rate gives it the variance temperature / (examples h (1 - rate h / 2)).
    Draws from torch's global generator.
    """
    noise = math.sqrt(2 * rate * temperature / examples)
    for parameter in parameters:
        if parameter.grad is None:
            continue
        parameter.add_(parameter.grad + weight_decay * parameter, alpha=-rate)
        if noise:
            parameter.add_(torch.randn_like(parameter), alpha=noise)
