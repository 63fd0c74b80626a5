"""BayesianBits: each tensor learns its width by gates on residuals (van Baalen et al. 2020).

A kind of MemberWeight, a baseline of Bits-Ensemble's Table IV: members are independent, a tensor of
all members has one grid and one set of gates.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from edgeens.torch.package import nn, torch
from edgeens.torch.uniform import (
    coded_factor,
    fake_quantize,
    fit_scale,
    round_to_codes,
)
from edgeens.torch.weights import CodedFactor, MemberWeight

# The hard-concrete distribution of a gate, and the chance of being shut above which it is.
BETA = 2 / 3
ZETA = 1.1
GAMMA = -0.1
THRESHOLD = 0.34
# Gates start open: a new tensor has 32 bits.
START = 6.0

GATED_WIDTHS = (4, 8, 16, 32)
# Steps of each width in steps of 8 bits: 85 = 5 * 17, and 2**8 + 1 = 257 for the next.
_STEPS = {2: 85.0, 4: 17.0, 8: 1.0, 16: 1 / 257}


class BayesianBitsWeight(MemberWeight):
    """x2 + z4 (eps4 + z8 (eps8 + z16 (eps16 + z32 eps32))), a gate z for each width.

    In training gates are drawn from the hard-concrete distribution; in evaluation they are open or
    shut, and the weights lie on the uniform grid of the widest open gate. At 32 bits they are the
    floats themselves, whose 24 bits are less. The gradient passes straight through to the weights.
    """

    roles: ClassVar[dict[str, str]] = {"gates": "gate"}

    def __init__(self, values: torch.Tensor) -> None:
        """Start from *values*, (K, *shape), with all gates open."""
        super().__init__()
        self.values = nn.Parameter(values)
        self.gates = nn.Parameter(values.new_full((len(GATED_WIDTHS),), START))

    @property
    def size(self) -> int:
        """Elements of one member's tensor."""
        return int(self.values[0].numel())

    @property
    def final_bits(self) -> int:
        """The width that evaluation uses: 2, 4, 8, 16 or 32."""
        shut = torch.sigmoid(BETA * math.log(-GAMMA / ZETA) - self.gates.detach())
        bits = 2
        for width, chance in zip(GATED_WIDTHS, shut.tolist(), strict=True):
            if chance >= THRESHOLD:
                break
            bits = width
        return bits

    def factors(self) -> dict[str, torch.Tensor]:
        """The gated sum of residuals in training, the final grid's values in evaluation."""
        if self.training:
            return {"weight": self._gated()}
        bits = self.final_bits
        if bits == 32:
            return {"weight": self.values}
        return {"weight": fake_quantize(self.values, self._scale(bits), bits=bits)}

    @torch.no_grad()
    def coded(self) -> dict[str, CodedFactor]:
        """Codes at the final width; none above 8 bits, where a file stores the values exactly."""
        bits = self.final_bits
        if bits > 8:
            return {}
        scale = self._scale(bits)
        codes = round_to_codes(self.values, scale, bits=bits)
        return {"weight": coded_factor(codes, scale, bits=bits)}

    def rate(self) -> torch.Tensor:
        """The paper's regulariser: sum over widths b of b times the chance that b is in use,
        P(z4 > 0) ... P(z_b > 0), times the number of weights of a member.

        The weight b of a gate is that of the authors' code (its regulariser by operations: b times
        the layer's multiplications, of the largest layer's), where 2 bits, which no gate closes,
        cost a constant. A tensor counts here by its weights instead: what a file stores.
        """
        chances = torch.sigmoid(self.gates - BETA * math.log(-GAMMA / ZETA))
        used, cost = torch.ones_like(chances[0]), torch.full_like(chances[0], 2.0)
        for width, chance in zip(GATED_WIDTHS, chances, strict=True):
            used = used * chance
            cost = cost + width * used
        return cost * self.size

    def _gated(self) -> torch.Tensor:
        """The sum with gates drawn anew, one draw for the tensor."""
        chance = torch.rand_like(self.gates).clamp_(1e-6, 1 - 1e-6)
        soft = torch.sigmoid((chance.log() - (-chance).log1p() + self.gates) / BETA)
        gates = (soft * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
        values = self.values.detach()
        levels = [fake_quantize(values, self._scale(bits), bits=bits) for bits in (2, 4, 8, 16)]
        levels.append(values)
        total = levels[0] + (self.values - values)
        opened = torch.ones_like(gates[0])
        for gate, (coarser, finer) in zip(gates, pairwise(levels), strict=True):
            # Not cumprod, whose gradient has no deterministic form on a GPU.
            opened = opened * gate
            total = total + opened * (finer - coarser)
        return total

    def _scale(self, bits: int) -> torch.Tensor:
        """The step of a width; all follow from that of 8 bits, so that they nest."""
        return fit_scale(self.values.detach(), bits=8, grid="tensor") * _STEPS[bits]
