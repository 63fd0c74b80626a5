"""IVON: training that learns a Gaussian over the weights, of which members are drawn.

Shen et al., "Variational Learning is Effective for Large Deep Networks", 2024, with the package
ivon-opt (GPL, the extra edgeens[ivon]); its Hessian update has the term that keeps it positive.
MultiIVON is several such Gaussians, from different starts.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeens.errors import MembersError, MissingPackageError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.batch_norm import refresh_batch_norm
from edgeens.torch.sampling.loss import Loss
from edgeens.torch.schedule import warm_cosine


@dataclass(frozen=True, eq=False)
class IvonPosterior:
    """A Gaussian with independent weights.

    Attributes:
        module: the mean, in evaluation mode.
        deviation: standard deviation of each parameter, by name.
    """

    module: nn.Module
    deviation: dict[str, torch.Tensor]

    @torch.no_grad()
    def member(self, generator: torch.Generator) -> nn.Module:
        """A copy of the module with weights drawn from the Gaussian."""
        member = copy.deepcopy(self.module)
        for name, parameter in member.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(noise * self.deviation[name])
        return member


def train_ivon(
    module: nn.Module,
    loss: Loss,
    *,
    steps: int,
    learning_rate: float,
    examples: int,
    hessian: float = 0.5,
    weight_decay: float = 1e-4,
    beta2: float = 0.99999,
    samples: int = 1,
    warmup: int = 0,
    seed: int = 0,
) -> IvonPosterior:
    """Train *module* in place by variational learning; the posterior has its weights as mean.

    Args:
        module: initial weights.
        loss: on batch 0 to steps - 1, the *mean* negative log-likelihood of an example.
        steps: in all; the rate falls to 0 along half a cosine.
        learning_rate: the highest, about that of stochastic gradient descent.
        examples: in the training set: the effective sample size.
        hessian: first guess of the curvature of the mean loss (the package's hess_init): larger is
            a narrower Gaussian at the start.
        weight_decay: precision of the Gaussian prior divided by *examples*.
        beta2: how slowly the curvature is learned.
        samples: weights drawn a step, each with a gradient of its own.
        warmup: steps over which the rate rises.
        seed: of the drawn weights and of the module's own random numbers.

    Raises:
        MissingPackageError: ivon-opt is not installed.
    """
    optimizer = _optimizer()(
        module.parameters(),
        lr=learning_rate,
        ess=examples,
        hess_init=hessian,
        weight_decay=weight_decay,
        beta2=beta2,
        mc_samples=samples,
    )
    for step in range(steps):
        module.train()
        torch.manual_seed(derived_seed(seed, "noise", step))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * warm_cosine(step, steps=steps, warmup=warmup)
        for _ in range(samples):
            with optimizer.sampled_params(train=True):
                optimizer.zero_grad()
                torch.autograd.backward(loss(module, step))
        optimizer.step()
    return IvonPosterior(module.eval(), _deviations(module, optimizer))


def draw_members(
    posteriors: Sequence[IvonPosterior],
    count: int,
    *,
    seed: int,
    inputs: Sequence[torch.Tensor] = (),
) -> list[nn.Module]:
    """*count* members in evaluation mode, drawn in turn from each of the posteriors.

    One posterior is IVON, several from different starts are MultiIVON.

    Args:
        posteriors: at least one.
        count: how many.
        seed: member k depends on (seed, k) and its posterior alone.
        inputs: training batches, for the running statistics of each member, if it has any.

    Raises:
        MembersError: there is no posterior.
    """
    if not posteriors:
        raise MembersError("members are drawn from at least one posterior, but none was given")
    members = []
    for number in range(count):
        generator = torch.Generator().manual_seed(derived_seed(seed, "noise", number))
        member = posteriors[number % len(posteriors)].member(generator)
        refresh_batch_norm(member, inputs)
        members.append(member)
    return members


def _optimizer() -> Any:
    try:
        from ivon import IVON
    except ImportError as error:
        raise MissingPackageError(
            "IVON needs the package ivon-opt, which is not installed; install the extra "
            "edgeens[ivon]"
        ) from error
    return IVON


def _deviations(module: nn.Module, optimizer: Any) -> dict[str, torch.Tensor]:
    """1 / sqrt(examples (hessian + weight decay)), cut from the optimizer's flat vector."""
    (group,) = optimizer.param_groups
    flat = (group["ess"] * (group["hess"] + group["weight_decay"])).rsqrt()
    sizes = [parameter.numel() for parameter in module.parameters()]
    return {
        name: part.view(parameter.shape)
        for (name, parameter), part in zip(
            module.named_parameters(), flat.split(sizes), strict=True
        )
    }
