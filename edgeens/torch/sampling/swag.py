"""SWAG: a Gaussian around the path of training, of which members are drawn.

Maddox et al., "A Simple Baseline for Bayesian Uncertainty in Deep Learning", 2019, Section 3.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Sequence

from edgeens.errors import MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.package import nn, torch
from edgeens.torch.sampling.batch_norm import refresh_batch_norm

Weights = dict[str, torch.Tensor]


class Swag:
    """Collects weights along a run of training with a constant rate, then draws members.

    With theta_1 .. theta_n the weights collected: the mean is theirs, the covariance is half the
    diagonal of theirs and half D D^T / (rank - 1), where D holds the last *rank* differences
    between theta_i and the mean of theta_1 .. theta_i.
    """

    def __init__(self, *, rank: int = 20) -> None:
        """Keep the last *rank* differences, at least 2."""
        if rank < 2:
            raise MembersError(f"the rank of SWAG's covariance is at least 2, not {rank}")
        self._count = 0
        self._mean: Weights = {}
        self._squares: Weights = {}
        self._deviations: deque[Weights] = deque(maxlen=rank)

    @torch.no_grad()
    def collect(self, module: nn.Module) -> None:
        """Add the weights that *module* has now; usually once an epoch."""
        self._count += 1
        deviation: Weights = {}
        for name, value in module.named_parameters():
            now = value.detach().double().cpu()  # squares less squared mean cancel in float32
            if self._count == 1:
                self._mean[name], self._squares[name] = now.clone(), now.square()
            else:
                self._mean[name] += (now - self._mean[name]) / self._count
                self._squares[name] += (now.square() - self._squares[name]) / self._count
            deviation[name] = now - self._mean[name]
        self._deviations.append(deviation)

    def draw(self, generator: torch.Generator) -> Weights:
        """Weights theta = mean + sqrt(variance / 2) z1 + D z2 / sqrt(2 (rank - 1)), float64.

        z2 is one vector for all tensors: it is what makes them vary together.

        Raises:
            MembersError: fewer than two weights were collected.
        """
        rank = len(self._deviations)
        if rank < 2:
            raise MembersError(f"SWAG needs weights from 2 moments at least, not {rank}")
        z2 = torch.randn(rank, generator=generator, dtype=torch.float64)
        drawn = {}
        for name, mean in self._mean.items():
            variance = (self._squares[name] - mean.square()).clamp_min(0)
            z1 = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
            columns = torch.stack([deviation[name] for deviation in self._deviations], dim=-1)
            drawn[name] = (
                mean + (variance / 2).sqrt() * z1 + columns @ z2 / math.sqrt(2 * (rank - 1))
            )
        return drawn

    def members(
        self, module: nn.Module, count: int, *, seed: int, inputs: Sequence[torch.Tensor] = ()
    ) -> list[nn.Module]:
        """*count* copies of *module* with drawn weights, in evaluation mode.

        Args:
            module: of the architecture that was collected from.
            count: how many.
            seed: member k depends on (seed, k) alone.
            inputs: training batches; the running statistics of each member are made anew on them,
                as those of other weights do not fit. Needed if the module has any.

        Raises:
            MembersError: fewer than two weights were collected.
        """
        drawn = []
        for number in range(count):
            generator = torch.Generator().manual_seed(derived_seed(seed, "noise", number))
            member = copy.deepcopy(module)
            load_parameters(member, self.draw(generator))
            refresh_batch_norm(member, inputs)
            drawn.append(member)
        return drawn


@torch.no_grad()
def load_parameters(module: nn.Module, weights: Weights) -> None:
    """Give the parameters of *module* the values in *weights*, rounded to their type."""
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])
