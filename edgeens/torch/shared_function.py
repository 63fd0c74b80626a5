"""The hard operator of bits sharing under autograd: Algorithm 1 forward, exact effects backward.

Between torch.runs, which has the arithmetic, and torch.sharing, whose weights it makes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from edgeens.torch.digits import (
    ALPHABET4,
    ALPHABET8,
    WEIGHT4,
    WEIGHT8,
    SharedDigits,
    reach_of,
    share_codes,
)
from edgeens.torch.package import torch
from edgeens.torch.runs import Sorted, chunks, run_means, shared_means, toggle_gradient
from edgeens.torch.uniform import round_to_codes

# What a stored digit of each level costs.
_BITS = (math.log2(ALPHABET4), math.log2(ALPHABET8))


class Sample(NamedTuple):
    """The positions of a channel that Lambda learns from, one of *parts* equal parts.

    Each part is drawn as often, so what is summed over it counts *parts* times.
    """

    positions: slice
    parts: int


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


class SharedWeights(torch.autograd.Function):
    """Weights to scale * shared code; and the rate, with its slopes in Lambda, as constants.

    The gradient goes straight to the weights; Lambda's is taken on the positions of a channel that
    *sample* picks, and stands for all. Lambda below 0 counts as 0, but still gets its gradient: it
    must be able to come back.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        scale: torch.Tensor,
        lambda4: torch.Tensor,
        lambda8: torch.Tensor | None,
        temperature: float,
        sample: Sample | None,
        with_rate: bool,
    ) -> tuple[torch.Tensor, ...]:
        """The weights, (K, channels, ...); with *sample* and *with_rate* also rate and slopes."""
        ctx.set_materialize_grads(False)
        outputs = torch.empty_like(values, memory_format=torch.contiguous_format)
        flat = outputs.flatten(1)
        lambdas = [lambda4] if lambda8 is None else [lambda4, lambda8]
        wanted = sample is not None and (with_rate or any(ctx.needs_input_grad))
        kept = torch.empty(
            (len(values), len(lambdas), flat.shape[1] if wanted else 0),
            dtype=torch.int8,
            device=values.device,
        )
        for part, shared, one in shared_parts(values, scale, lambda4, lambda8):
            # Scaled while the codes are in the processor's cache.
            flat[:, part].copy_(shared.codes).mul_(one)
            if wanted:
                kept[:, 0, part] = shared.digits4
                if shared.digits8 is not None:
                    kept[:, 1, part] = shared.digits8
        if sample is None or not wanted:
            return (outputs,)
        # The levels behind one another, as if they were channels: half as many operations.
        lam = torch.cat(lambdas)
        digits = kept.reshape(len(values), len(lam), -1)[..., sample.positions].contiguous()
        ctx.save_for_backward(scale, lam, digits)
        ctx.temperature, ctx.sample = temperature, sample
        if not with_rate:
            return (outputs,)
        bits = values.new_tensor(_BITS[: len(lambdas)]) / len(values)
        factor = bits.repeat_interleave(len(lambda4)) * sample.parts
        expected, slopes = _expected_cuts(digits, lam, temperature)
        rate = (expected * factor).sum() + bits.sum() * values[0].numel()
        ctx.mark_non_differentiable(rate, slopes.mul_(factor))
        return outputs, rate, slopes

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor | None, *_: None) -> tuple[Any, ...]:
        """Straight to the weights; to Lambda the effect of toggling cuts."""
        for4 = for8 = None
        if gradient is not None and any(ctx.needs_input_grad[2:4]):
            scale, lam, digits = ctx.saved_tensors
            part = _by_channel(gradient, gradient)[..., ctx.sample.positions]
            part = part * (scale.reshape(-1, 1) * ctx.sample.parts)
            if len(lam) > gradient.shape[1]:
                part = torch.cat([part * WEIGHT4, part * WEIGHT8], 1)
            else:
                part = part * WEIGHT4
            effect = _lambda_gradient(digits, lam, part, ctx.temperature)
            for4, for8 = _levels(effect, gradient.shape[1])
        return gradient, None, for4, for8, None, None, None


class Rate(torch.autograd.Function):
    """The rate term, as made before, hung onto Lambda by its slopes."""

    @staticmethod
    def forward(
        ctx: Any,
        lambda4: torch.Tensor,
        lambda8: torch.Tensor | None,
        rate: torch.Tensor,
        slopes: torch.Tensor,
    ) -> torch.Tensor:
        """The rate as it is."""
        ctx.save_for_backward(slopes)
        ctx.channels = len(lambda4)
        return rate.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        """To each Lambda by its slope."""
        (slopes,) = ctx.saved_tensors
        return *_levels(gradient * slopes, ctx.channels), None, None


def _levels(both: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What belongs to each level's Lambda; None for a level that was dropped."""
    return both[:channels], both[channels:] if len(both) > channels else None


def shared_parts(
    values: torch.Tensor,
    scale: torch.Tensor,
    lambda4: torch.Tensor,
    lambda8: torch.Tensor | None,
) -> Iterator[tuple[slice, SharedDigits, torch.Tensor]]:
    """Codes of *values*, (K, channels, ...), shared, and their scale; part by part."""
    flat = values.flatten(1)
    scales = scale if scale.ndim == 0 else scale.expand(values.shape[1:]).reshape(-1)
    reach4 = by_position(reach_of(lambda4), values)
    reach8 = None if lambda8 is None else by_position(reach_of(lambda8), values)
    for part in chunks(flat.shape[1], values.device):
        one = scales if scales.ndim == 0 else scales[part]
        codes = round_to_codes(flat[:, part], one, bits=8)
        shared = share_codes(codes, reach4[part], None if reach8 is None else reach8[part])
        yield part, shared, one


def _expected_cuts(
    digits: torch.Tensor, lam: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """E[clusters] - 1 of digits (K, channels, each), and its slope in Lambda; by channel."""
    widened = lam.clamp(min=0).repeat_interleave(digits.shape[2])
    expected, slopes = torch.empty_like(widened), torch.empty_like(widened)
    flat = digits.flatten(1)
    for part in chunks(flat.shape[1], digits.device):
        cuts, slope = Sorted(flat[:, part], reversible=False).cuts(widened[part], temperature)
        torch.sum(cuts, 0, out=expected[part])
        torch.sum(slope, 0, out=slopes[part])
    shape = (len(lam), digits.shape[2])
    return expected.reshape(shape).sum(1), slopes.reshape(shape).sum(1)


def _lambda_gradient(
    digits: torch.Tensor, lam: torch.Tensor, gradient: torch.Tensor, temperature: float
) -> torch.Tensor:
    """dL/dLambda of each channel for digits and the gradient of them, (K, channels, each)."""
    each = digits.shape[2]
    reach = reach_of(lam).repeat_interleave(each)
    widened = lam.clamp(min=0).repeat_interleave(each)
    result = torch.empty_like(widened)
    rows, flat = digits.flatten(1), gradient.flatten(1)
    for part in chunks(rows.shape[1], digits.device):
        result[part] = toggle_gradient(
            rows[:, part], reach[part], widened[part], flat[:, part], temperature
        )
    return result.reshape(len(lam), each).sum(1)


def _by_channel(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(K, ...) as (K, channels, each), the channels those of *values*."""
    return tensor.reshape(len(values), values.shape[1], -1)


def by_position(by_channel: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(channels,) repeated for the positions of *values*, (K, channels, ...)."""
    each = values[0, 0].numel()
    return by_channel.unsqueeze(1).expand(-1, each).reshape(-1)
