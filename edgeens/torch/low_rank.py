"""Low-rank layers: a weight is the product of two factors a member (Bits-Ensemble Eq. 21-22).

A kind of MemberWeight made of two others, so the factors may be floats, on a grid, or shared. Their
product is on no grid: a file holds the factors.
"""

from __future__ import annotations

from typing import Literal

from edgeens.torch.package import nn, torch
from edgeens.torch.weights import CodedFactor, MemberWeight, WeightFactory

Start = Literal["random", "svd"]


class LowRankWeight(MemberWeight):
    """W_k = U_k V_k^T for Linear; W[k,o,i,y,x] = sum_v U[k,o,v,y,x] V[k,i,v,y,x] for convolutions.

    U has shape (K, D_out, mu, *kernel) and V (K, D_in, mu, *kernel).
    """

    def __init__(self, u: MemberWeight, v: MemberWeight, *, kernel_axes: int) -> None:
        """Multiply what *u* and *v* hold; *kernel_axes* is 0 for Linear, 2 for Conv2d."""
        super().__init__()
        self.u = u
        self.v = v
        self.kernel_axes = kernel_axes

    @property
    def size(self) -> int:
        """Elements of one member's factors."""
        return self.u.size + self.v.size

    def factors(self) -> dict[str, torch.Tensor]:
        """U and V."""
        return {"u": self.u.factors()["weight"], "v": self.v.factors()["weight"]}

    def product(self, factors: dict[str, torch.Tensor]) -> torch.Tensor:
        """U V^T, at each position of the kernel."""
        u, v = factors["u"], factors["v"]
        first = u.ndim - 2 - self.kernel_axes  # of the matrix's axes; members may be before it
        members, kernel = range(first), range(first + 2, u.ndim)
        # permute with axes from 0 up: torch's exporter writes others into the file as they are.
        u, v = (factor.permute(*members, *kernel, first, first + 1) for factor in (u, v))
        kernel = range(first, first + self.kernel_axes)
        return (u @ v.transpose(-1, -2)).permute(*members, u.ndim - 2, u.ndim - 1, *kernel)

    def coded(self) -> dict[str, CodedFactor]:
        """Codes and grids of the factors that have one."""
        parts = {"u": self.u.coded(), "v": self.v.coded()}
        return {name: coded["weight"] for name, coded in parts.items() if coded}

    def rate(self) -> torch.Tensor | None:
        """The rates of both factors."""
        rates = [rate for rate in (self.u.rate(), self.v.rate()) if rate is not None]
        return torch.stack(rates).sum() if rates else None


def latent_width(shape: tuple[int, ...]) -> int:
    """mu as in the authors' experiments: max(D_out, D_in) / 8 for convolutions, / 4 for Linear.

    But at most the rank of a full matrix, which makes it 3 for a first convolution of colours.

    Args:
        shape: of one member's weight, (D_out, D_in, *kernel).
    """
    out, inputs = shape[:2]
    return max(1, min(max(out, inputs) // (4 if len(shape) == 2 else 8), out, inputs))


def low_rank(
    values: torch.Tensor, *, rank: int | None, start: Start, factor: WeightFactory
) -> MemberWeight:
    """The weights of a layer, (K, D_out, D_in, *kernel), as factors that *factor* holds.

    A weight that two factors would not make smaller stays whole.
    """
    mu = latent_width(tuple(values.shape[1:])) if rank is None else rank
    out, inputs = values.shape[1:3]
    if mu * (out + inputs) >= out * inputs:
        return factor(values)
    u, v = _random_factors(values, mu) if start == "random" else _truncated(values, mu)
    return LowRankWeight(factor(u), factor(v), kernel_axes=values.ndim - 3)


def _random_factors(values: torch.Tensor, mu: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal, of deviation (2 / (fan_in mu))^(1/4): the product then has variance 2 / fan_in."""
    members, out, inputs, *kernel = values.shape
    deviation = (2 / (values[0, 0].numel() * mu)) ** 0.25
    u = nn.init.normal_(values.new_empty(members, out, mu, *kernel), std=deviation)
    v = nn.init.normal_(values.new_empty(members, inputs, mu, *kernel), std=deviation)
    return u, v


def _truncated(values: torch.Tensor, mu: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors whose product is nearest to the weights, at each position of the kernel."""
    matrices = values.flatten(3).movedim(3, 1) if values.ndim > 3 else values.unsqueeze(1)
    left, sizes, right = torch.linalg.svd(matrices, full_matrices=False)
    roots = sizes[..., :mu].sqrt()
    u = left[..., :mu] * roots.unsqueeze(-2)
    v = right[..., :mu, :].transpose(-1, -2) * roots.unsqueeze(-2)
    u, v = (factor.movedim(1, -1).reshape(*_shape(factor), *values.shape[3:]) for factor in (u, v))
    return u, v


def _shape(factor: torch.Tensor) -> tuple[int, ...]:
    """(K, D, mu) of a factor (K, positions, D, mu)."""
    return (factor.shape[0], *factor.shape[2:])
