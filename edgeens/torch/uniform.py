"""Quantisation-aware training on one uniform grid (Bits-Ensemble Eq. 1).

A kind of MemberWeight; sharing and low-rank layers start from the same codes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import Grid
from edgeens.errors import MembersError
from edgeens.torch.package import nn, torch
from edgeens.torch.weights import CodedFactor, MemberWeight

Per = Literal["tensor", "channel"]

# The smallest and the limit of a scale that a file holds (SPEC, "Scales").
SMALLEST_SCALE = 2.0**-126
SCALE_LIMIT = 2.0**120


class UniformWeight(MemberWeight):
    """Weights on one symmetric grid of all members: scale = max |w| / q, q = 2**(bits-1) - 1.

    The forward pass rounds to nearest, half to even; the gradient passes straight through. The
    grid follows the weights at each step.
    """

    def __init__(self, values: torch.Tensor, *, bits: int, grid: Per) -> None:
        """Start from *values*, (K, *shape), with codes of 2 to 8 *bits*.

        Args:
            values: floats; *shape* begins with the output channels.
            bits: width of a code.
            grid: one scale a "tensor" or an output "channel", always common to the members.
        """
        super().__init__()
        self.values = nn.Parameter(values)
        self.bits = bits
        self.grid = grid

    @property
    def size(self) -> int:
        """Elements of one member's tensor."""
        return int(self.values[0].numel())

    def factors(self) -> dict[str, torch.Tensor]:
        """Scale times code, float32."""
        scale = fit_scale(self.values.detach(), bits=self.bits, grid=self.grid)
        return {"weight": fake_quantize(self.values, scale, bits=self.bits)}

    def rate(self) -> torch.Tensor | None:
        """Bits that an entropy coder needs for the codes of a member; see `code_bits`."""
        # The scale has its gradient here: were the largest weight to shrink for its own bits alone,
        # the grid would become finer, and all other codes longer. It is made smaller, as for a
        # learned step (Esser et al., "Learned step size quantization", 2020): it is the sum over
        # all weights, which one weight cannot balance with what it is worth to the task.
        scale = fit_scale(self.values, bits=self.bits, grid=self.grid)
        held = scale.detach()
        most = (1 << (self.bits - 1)) - 1
        scale = held + (scale - held) * (scale.numel() / self.values.numel() / most) ** 0.5
        return code_bits(self.values / scale, bits=self.bits).sum() / len(self.values)

    @torch.no_grad()
    def coded(self) -> dict[str, CodedFactor]:
        """The codes that the forward pass computes with."""
        scale = fit_scale(self.values, bits=self.bits, grid=self.grid)
        codes = round_to_codes(self.values, scale, bits=self.bits)
        return {"weight": coded_factor(codes, scale, bits=self.bits)}


def fit_scale(values: torch.Tensor, *, bits: int, grid: Per) -> torch.Tensor:
    """The scale of all members' *values*, (K, *shape): max |w| / q, float32; 1 where all are 0.

    Returns:
        Shape () for one scale, (channels, 1, ...) to multiply (K, *shape) for one a channel.
    """
    if grid == "tensor":
        low, high = torch.aminmax(values)
        largest = torch.maximum(high, -low)
    else:
        axes = [axis for axis in range(values.ndim) if axis != 1]
        largest = values.abs().amax(axes).reshape(-1, *[1] * (values.ndim - 2))
    largest = largest.float()
    scale = (largest / ((1 << (bits - 1)) - 1)).clamp(min=SMALLEST_SCALE)
    return torch.where(largest == 0, torch.ones_like(scale), scale)


def round_to_codes(values: torch.Tensor, scale: torch.Tensor, *, bits: int) -> torch.Tensor:
    """Codes in -q..q as float32 integers, without a negative zero: scale * code is then the float
    that every decoder computes."""
    largest = (1 << (bits - 1)) - 1
    return (values / scale).round_().clamp_(-largest, largest).add_(0.0)


def fake_quantize(values: torch.Tensor, scale: torch.Tensor, *, bits: int) -> torch.Tensor:
    """*values* on the grid of *scale*, as scale * float(code); the gradient passes through."""
    quantised: torch.Tensor = _FakeQuantize.apply(values, scale, bits)
    return quantised


def code_bits(places: torch.Tensor, *, bits: int) -> torch.Tensor:
    """The bits that an entropy coder needs for each code, under the distribution of them all.

    Between two codes they are interpolated, so that the gradient leads to the more frequent of the
    two. The distribution is that of the moment and carries no gradient. (Training for the rate is
    Oktay et al., "Scalable model compression by entropy penalized reparameterization", 2020, who
    learn a model of the distribution; counts need none.)

    Args:
        places: weights in units of their scale, of any shape.
        bits: width of a code.
    """
    largest = (1 << (bits - 1)) - 1
    held = places.clamp(-largest, largest)
    with torch.no_grad():
        codes = (held.round() + largest).long().flatten()
        counts = torch.bincount(codes, minlength=2 * largest + 1)
        # Half a count for a code that is not in use, so that its price is finite.
        lengths = torch.log2(len(codes) / counts.clamp(min=0.5))
        below = held.floor().clamp(max=largest - 1)
        lower, upper = (lengths[(below + largest).long() + step] for step in (0, 1))
    return lower + (held - below) * (upper - lower)


class _FakeQuantize(torch.autograd.Function):
    """scale * code forward, identity backward; nothing to save, so it costs no memory."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
        return round_to_codes(values, scale, bits=bits).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient, None, None


def coded_factor(codes: torch.Tensor, scale: torch.Tensor, *, bits: int) -> CodedFactor:
    """Codes as float32 integers, (copies, *shape), and their scale, as a file holds them.

    Raises:
        MembersError: the scale is not a number below 2**120.
    """
    scales: NDArray[np.float32] = scale.detach().reshape(-1).cpu().numpy().astype(np.float32)
    if not (scales < SCALE_LIMIT).all():
        raise MembersError(
            f"weights are NaN, infinite or so large that a code needs a scale of "
            f"{scales.max():.3g}, and a file holds scales below 2**120; look at the training"
        )
    held: NDArray[np.int8] = codes.detach().to(torch.int8).cpu().numpy()
    return CodedFactor(held, Grid(bits, scales, channel_axis=0))
