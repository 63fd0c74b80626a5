"""Training with shared bits: the hard operator of Algorithm 1, with the exact effect of Lambda.

A kind of MemberWeight (Bits-Ensemble, Section III, as corrected in the project's design notes). The
forward pass computes what the file holds; Lambda learns from what toggling a cut would do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from edgeens.torch.digits import (
    ALPHABET4,
    ALPHABET8,
    WEIGHT4,
    WEIGHT8,
    SharedDigits,
    reach_of,
    share_codes,
)
from edgeens.torch.package import nn, torch
from edgeens.torch.paper_sharing import paper_means
from edgeens.torch.runs import chunks, expected_cuts, run_means, shared_means, toggle_gradient
from edgeens.torch.uniform import Per, UniformWeight, coded_factor, fit_scale, round_to_codes
from edgeens.torch.weights import CodedFactor

Surrogate = Literal["exact", "paper"]

BITS = 8


class SharedWeight(UniformWeight):
    """8-bit weights whose residual digits are shared where they are close (Bits-Ensemble Alg. 1).

    A code is n = 85 a + 17 b + c. At each position the members' b, then what is left as c, are
    sorted and cut where a gap is greater than Lambda; each run gets its mean. Lambda belongs to an
    output channel and a level. The gradient passes straight through to the weights.
    """

    roles: ClassVar[dict[str, str]] = {"lambda4": "lambda", "lambda8": "lambda"}

    def __init__(
        self,
        values: torch.Tensor,
        *,
        grid: Per,
        levels: int,
        lambda4: float,
        lambda8: float,
        learned: bool,
        temperature: float,
        surrogate: Surrogate,
        sigma: float,
    ) -> None:
        """Start from *values*, (K, channels, ...); options as in torch.methods.shared."""
        super().__init__(values, bits=BITS, grid=grid)
        channels = values.shape[1]
        self.lambda4 = nn.Parameter(values.new_full((channels,), lambda4), requires_grad=learned)
        self.lambda8: nn.Parameter | None = None
        if levels == 3:
            start = values.new_full((channels,), lambda8)
            self.lambda8 = nn.Parameter(start, requires_grad=learned)
        self.temperature = temperature
        self.surrogate = surrogate
        self.sigma = sigma

    def factors(self) -> dict[str, torch.Tensor]:
        """Scale times shared code, float32; in training with the paper's surrogate near it."""
        scale = fit_scale(self.values.detach(), bits=BITS, grid=self.grid)
        if self.surrogate == "paper" and self.training:
            return {"weight": self._by_the_paper(scale)}
        lambda8 = self.lambda8
        shared = _SharedWeights.apply(self.values, scale, self.lambda4, lambda8, self.temperature)
        return {"weight": shared}

    @torch.no_grad()
    def coded(self) -> dict[str, CodedFactor]:
        """The shared codes that the evaluation pass computes with."""
        scale = fit_scale(self.values, bits=BITS, grid=self.grid)
        codes = torch.empty(self.values.shape, dtype=torch.int8, device=self.values.device)
        flat = codes.flatten(1)
        for part, shared in _shared_parts(self.values, scale, self.lambda4, self.lambda8):
            flat[:, part] = shared.codes
        return {"weight": coded_factor(codes, scale, bits=BITS)}

    def rate(self) -> torch.Tensor:
        """Expected bits of the shared levels, summed over positions, divided by K.

        E[clusters] * log2(alphabet) / K a position and level, with E[clusters] = 1 + sum over gaps
        above 0 of sigma((delta - Lambda) / T). Moves Lambda alone.
        """
        scale = fit_scale(self.values.detach(), bits=BITS, grid=self.grid)
        rate: torch.Tensor = _Rate.apply(
            self.values.detach(), scale, self.lambda4, self.lambda8, self.temperature
        )
        return rate

    def _by_the_paper(self, scale: torch.Tensor) -> torch.Tensor:
        """The printed relaxation: its value is off the grid, its gradient the chain rule's."""
        codes = round_to_codes(self.values.detach(), scale, bits=BITS).flatten(1)
        lambda4 = _by_position(self.lambda4, self.values)
        lambda8 = None if self.lambda8 is None else _by_position(self.lambda8, self.values)
        reach8 = None if lambda8 is None else reach_of(lambda8)
        hard = share_codes(codes, reach_of(lambda4), reach8)
        options = {"temperature": self.temperature, "sigma": self.sigma}
        means4 = paper_means(hard.digits4.float(), lambda4, **options)
        joined = ((codes - hard.digits4.float() * 17) * (1 / 85)).round() * 85 + WEIGHT4 * means4
        if hard.digits8 is not None and lambda8 is not None:
            joined = joined + paper_means(hard.digits8.float(), lambda8, **options)
        straight: torch.Tensor = self.values - self.values.detach()
        return joined.reshape(self.values.shape) * scale + straight


def share_digits(
    digits: torch.Tensor, lam: torch.Tensor, *, temperature: float = 0.5
) -> torch.Tensor:
    """Algorithm 1 on one level of digits, differentiable in the digits and in Lambda.

    Forward: the rounded mean of each digit's run. Backward, for the loss L: dL/de = A g, the mean
    of the gradient g over the run; dL/dLambda the effect of toggling each cut, smoothed over
    Lambda with *temperature* (torch.runs.toggle_gradient).

    Args:
        digits: integers -8..8 as float32, shape (K, ...), K from 2 to 16.
        lam: Lambda in digit units, broadcast to digits.shape[1:]; below 0 it counts as 0.
        temperature: T > 0, in digit units.

    Returns:
        float32, the shape of *digits*.
    """
    positions = lam.expand(digits.shape[1:]).reshape(-1)
    shared: torch.Tensor = _SharedDigits.apply(digits.flatten(1), positions, temperature)
    return shared.reshape(digits.shape)


class _SharedDigits(torch.autograd.Function):
    """One level alone, (K, N) and (N,)."""

    @staticmethod
    def forward(
        ctx: Any, digits: torch.Tensor, lam: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        whole, reach = digits.to(torch.int8), reach_of(lam)
        ctx.save_for_backward(whole, reach, lam)
        ctx.temperature = temperature
        return shared_means(whole, reach).to(digits.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        whole, reach, lam = ctx.saved_tensors
        for_lam = toggle_gradient(whole, reach, lam.clamp(min=0), gradient, ctx.temperature)
        return run_means(whole, reach, gradient), for_lam, None


class _SharedWeights(torch.autograd.Function):
    """Weights to scale * shared code; the gradient goes straight to the weights, and to Lambda.

    Lambda below 0 counts as 0, but still gets its gradient: it must be able to come back.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        scale: torch.Tensor,
        lambda4: torch.Tensor,
        lambda8: torch.Tensor | None,
        temperature: float,
    ) -> torch.Tensor:
        outputs = torch.empty_like(values, memory_format=torch.contiguous_format)
        flat = outputs.flatten(1)
        learned = any(ctx.needs_input_grad[2:4])
        kept4 = torch.empty(flat.shape, dtype=torch.int8, device=values.device) if learned else None
        kept8 = None if kept4 is None or lambda8 is None else torch.empty_like(kept4)
        for part, shared in _shared_parts(values, scale, lambda4, lambda8):
            flat[:, part] = shared.codes
            if kept4 is not None:
                kept4[:, part] = shared.digits4
            if kept8 is not None:
                kept8[:, part] = shared.digits8
        ctx.save_for_backward(scale, lambda4, lambda8, kept4, kept8)
        ctx.temperature = temperature
        return outputs.mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        scale, lambda4, lambda8, kept4, kept8 = ctx.saved_tensors
        for4 = for8 = None
        if kept4 is not None:
            scaled = gradient * scale
            for4 = WEIGHT4 * _lambda_gradient(kept4, lambda4, scaled, ctx.temperature)
            if kept8 is not None:
                for8 = WEIGHT8 * _lambda_gradient(kept8, lambda8, scaled, ctx.temperature)
        return gradient, None, for4, for8, None


class _Rate(torch.autograd.Function):
    """The rate term of one tensor; its slope in Lambda is made on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        scale: torch.Tensor,
        lambda4: torch.Tensor,
        lambda8: torch.Tensor | None,
        temperature: float,
    ) -> torch.Tensor:
        lambdas = [lambda4] if lambda8 is None else [lambda4, lambda8]
        bits = [math.log2(alphabet) / len(values) for alphabet in (ALPHABET4, ALPHABET8)]
        widened = [_by_position(lam.clamp(min=0), values) for lam in lambdas]
        slopes = [torch.empty_like(lam) for lam in widened]
        total = values.new_zeros(())
        for part, shared in _shared_parts(values, scale, lambda4, lambda8):
            for level, digits in enumerate([shared.digits4, shared.digits8][: len(lambdas)]):
                cuts, slopes[level][part] = expected_cuts(digits, widened[level][part], temperature)
                total += (cuts.sum() + cuts.numel()) * bits[level]
        by_channel = [slope.reshape(values.shape[1], -1).sum(1) for slope in slopes]
        ctx.save_for_backward(
            *(slope * width for slope, width in zip(by_channel, bits, strict=False))
        )
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        slopes = [gradient * slope for slope in ctx.saved_tensors]
        return None, None, slopes[0], slopes[1] if len(slopes) > 1 else None, None


def _shared_parts(
    values: torch.Tensor,
    scale: torch.Tensor,
    lambda4: torch.Tensor,
    lambda8: torch.Tensor | None,
) -> Iterator[tuple[slice, SharedDigits]]:
    """Codes of *values*, (K, channels, ...), shared; a part of the positions at a time."""
    flat = values.flatten(1)
    scales = scale if scale.ndim == 0 else scale.expand(values.shape[1:]).reshape(-1)
    reach4 = _by_position(reach_of(lambda4), values)
    reach8 = None if lambda8 is None else _by_position(reach_of(lambda8), values)
    for part in chunks(flat.shape[1], values.device):
        one = scales if scales.ndim == 0 else scales[part]
        codes = round_to_codes(flat[:, part], one, bits=BITS)
        yield part, share_codes(codes, reach4[part], None if reach8 is None else reach8[part])


def _lambda_gradient(
    digits: torch.Tensor, lam: torch.Tensor, gradient: torch.Tensor, temperature: float
) -> torch.Tensor:
    """dL/dLambda of each channel for digits (K, positions) and the gradient of the weights."""
    reach = _by_position(reach_of(lam), gradient)
    widened = _by_position(lam.clamp(min=0), gradient)
    flat = gradient.flatten(1)
    result = torch.empty_like(widened)
    for part in chunks(flat.shape[1], digits.device):
        result[part] = toggle_gradient(
            digits[:, part], reach[part], widened[part], flat[:, part], temperature
        )
    return result.reshape(len(lam), -1).sum(1)


def _by_position(by_channel: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(channels,) repeated for the positions of *values*, (K, channels, ...)."""
    each = values[0, 0].numel()
    return by_channel.unsqueeze(1).expand(-1, each).reshape(-1)
