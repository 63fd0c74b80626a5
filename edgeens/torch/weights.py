"""The weights of one layer in all members: floats come in, what a file holds comes out.

Between convert, which makes one for each layer, and layers, which compute with them. A method of
training is a subclass; the layers do not know which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import Grid
from edgeens.torch.package import nn, torch

# METHODS of the format: smaller tensors are kept exactly, their scales would cost as much.
LEAST_ELEMENTS = 64

# From all members' initial weights, (K, *shape), to the module that holds them.
WeightFactory = Callable[[torch.Tensor], "MemberWeight"]


@dataclass(frozen=True, eq=False)
class CodedFactor:
    """One stored tensor on its grid: int8 codes of shape (copies, *shape), copies 1 or K."""

    codes: NDArray[np.int8]
    grid: Grid


class MemberWeight(nn.Module):
    """The weights of one layer in all members.

    A weight is a product of factors: one factor, the weight itself, for most methods; U and V for
    low-rank layers. Factors are what a file stores.

    Attributes:
        roles: of the parameters that an optimizer must treat apart from weights, by attribute:
            "lambda", "gate" or "fast" (EnsembleModule.parameter_groups).
    """

    roles: ClassVar[dict[str, str]] = {}

    def factors(self) -> dict[str, torch.Tensor]:
        """The factors as they are stored, by name; float32, shape (copies, *shape of the factor).

        In training they carry gradients; in evaluation they are, to the bit, what the file of this
        ensemble decodes to.
        """
        raise NotImplementedError

    def product(self, factors: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weight, (..., *shape), of factors that have any leading axes."""
        return factors["weight"]

    def coded(self) -> dict[str, CodedFactor]:
        """Codes and grids of the factors that are on a grid; the others are stored exactly."""
        return {}

    def rate(self) -> torch.Tensor | None:
        """What the regulariser counts of these weights, summed over them; None: nothing."""
        return None

    @property
    def size(self) -> int:
        """Elements of one member's factors."""
        return sum(int(factor[0].numel()) for factor in self.factors().values())

    def forward(self) -> torch.Tensor:
        """All members' weights, (K, *shape), float32 also under autocast.

        Under autocast a layer may round them when it computes, but never before they are on their
        grid: the file is made from these.
        """
        with torch.autocast(_device_type(self), enabled=False):
            return self.product(self.factors())


class FloatWeight(MemberWeight):
    """Weights without quantisation: the members of a deep ensemble."""

    def __init__(self, values: torch.Tensor) -> None:
        """Start from *values*, (K, *shape)."""
        super().__init__()
        self.values = nn.Parameter(values)

    @property
    def size(self) -> int:
        """Elements of one member's tensor."""
        return int(self.values[0].numel())

    def factors(self) -> dict[str, torch.Tensor]:
        """The parameter itself."""
        return {"weight": self.values}


def worth_a_grid(values: torch.Tensor) -> bool:
    """Whether a tensor (K, *shape) is a weight that the format puts on a grid."""
    return bool(values.ndim >= 3 and values[0].numel() >= LEAST_ELEMENTS)


def _device_type(module: Any) -> str:
    return str(next(module.parameters()).device.type)
